"""What gets compiled to machine code. Of vmlab it knows what a program is (`isa`, `program`,
`verifier`, `blocks`, `disassembler`), what it is asked for and answers (`engines`, `outcome`,
`recording`), threads with deep stacks (`stack`) and how to read assembly text (`machinecode`);
nothing that measures or reports."""
