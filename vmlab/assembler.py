"""`.vm` text -> `Program`, or all that is wrong with the text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmlab import syntax
from vmlab.diagnostics import (
    Diagnostic,
    Kind,
    Note,
    ProgramError,
    a,
    closest,
    counted,
    either,
    quote,
)
from vmlab.isa import (
    OPCODES,
    RESERVED_OPCODES,
    RESERVED_TYPES,
    Opcode,
    Operand,
    Trap,
    Type,
)
from vmlab.outcome import format_number
from vmlab.program import (
    Expectation,
    Function,
    Instruction,
    Number,
    Program,
    Source,
    Span,
    Variable,
)
from vmlab.syntax import Declaration, Line, Malformed, Token
from vmlab.verifier import verify_functions

# Suggestions compare a name with all others; this many comparisons a file, then none are made.
_MOST_COMPARISONS = 200_000


def load(path: str | Path) -> Program:
    """Assemble a file. Raises `ProgramError`, and OSError if the file cannot be read."""
    return assemble(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """A source file's text. Raises `ProgramError` if it is not UTF-8, OSError if it cannot be
    read."""
    data = Path(path).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = Source("", data[: error.start].decode()).lines
        span = Span(len(before), len(before[-1]) + 1)
        source = Source(str(path), data.decode(errors="replace"))
        message = f"this is not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}"
        hint = "save the file with the encoding UTF-8"
        diagnostic = Diagnostic("not-utf8", span, message, hint=hint)
        raise ProgramError(source, [diagnostic]) from None


def assemble(text: str, path: str = "<string>") -> Program:
    """The program that a text means, verified. `path` names the text in messages. Raises
    `ProgramError` with all errors."""
    return _Assembler(Source(path, text.removeprefix("\N{BYTE ORDER MARK}"))).program()


@dataclass(slots=True)
class _Draft:
    """A function while it is read.

    slots            parameters and locals by name; the type is None if it could not be read
    ops              None for a line that is malformed
    sound            nothing in its own text is wrong
    declared         nothing in its header is wrong, so that calls of it can be checked
    locals_complete  all names of locals could be read: a name not among them does not exist
    labels_complete  likewise
    """

    name: Token
    params: list[Variable] = field(default_factory=list)
    locals: list[Variable] = field(default_factory=list)
    slots: dict[str, tuple[int, Token, Type | None]] = field(default_factory=dict)
    result: Type | None = None
    ops: list[syntax.Op | None] = field(default_factory=list)
    labels: dict[str, tuple[int, Token]] = field(default_factory=dict)
    sound: bool = True
    declared: bool = True
    locals_complete: bool = True
    labels_complete: bool = True


class _Assembler:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._diagnostics: list[Diagnostic] = []
        self._globals: dict[str, tuple[int, Token, Type | None]] = {}
        self._variables: list[Variable] = []
        self._globals_complete = True
        self._drafts: list[_Draft] = []
        self._functions: dict[str, int] = {}
        self._functions_complete = True
        self._expects: list[syntax.Expect] = []
        self._draft: _Draft | None = None  # the function that the lines are in
        self._astray = False  # that the lines are outside of any function has been reported
        self._comparisons = 0
        self._elsewheres: dict[str, str] | None = None  # a function for each label

    def program(self) -> Program:
        last = None
        for line in syntax.read_lines(self._source):
            self._read(line)
            last = line.tokens[-1] if line.tokens else last
        if self._draft is not None and last is not None:
            end = Span(last.line, last.column + len(last.text))
            self._end_missing(end, "the end of the file")
        functions = tuple(self._function(draft) for draft in self._drafts)
        self._draft = None
        self._check_main()
        expectations = [e for x in self._expects if (e := self._expectation(x)) is not None]
        program = Program(tuple(self._variables), functions, tuple(expectations), self._source)
        sound = [index for index, draft in enumerate(self._drafts) if draft.sound]
        maps, diagnostics = verify_functions(program, sound)
        if self._diagnostics or diagnostics:
            raise ProgramError(self._source, self._diagnostics + diagnostics)
        vars(program)["stack_maps"] = tuple(maps)
        return program

    def _error(
        self,
        kind: Kind,
        span: Span,
        message: str,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
        notes: Sequence[Note] = (),
    ) -> None:
        self._add(Diagnostic(kind, span, message, expected, found, hint, tuple(notes)))

    def _add(self, diagnostic: Diagnostic) -> None:
        self._diagnostics.append(diagnostic)
        if self._draft is not None:
            self._draft.sound = False

    def _closest(self, name: str, candidates: Collection[str]) -> str | None:
        """The candidate that was likely meant."""
        self._comparisons += len(candidates)
        return closest(name, candidates) if self._comparisons <= _MOST_COMPARISONS else None

    def _suggest(self, name: str, candidates: Collection[str]) -> str | None:
        likely = self._closest(name, candidates)
        return likely and f"did you mean '{likely}'?"

    # Reading, one line after the other: the structure is made, names are declared

    def _read(self, line: Line) -> None:
        if line.error is not None:
            self._add(line.error)
        match line.statement:
            case syntax.Op() as op:
                self._read_op(line, op)
            case syntax.Label(name):
                self._read_label(name)
            case syntax.Local(declaration):
                self._read_local(line, declaration)
            case syntax.End():
                self._read_end(line)
            case syntax.Func() as func:
                self._start_directive(line)
                self._read_func(line, func)
            case syntax.Global(declaration):
                self._start_directive(line)
                self._read_global(declaration)
            case syntax.Expect() as expect:
                self._start_directive(line)
                if line.error is None:
                    self._expects.append(expect)
            case None if line.error is not None and self._draft is not None:
                self._draft.labels_complete = False

    def _start_directive(self, line: Line) -> None:
        """What stands outside of functions ends one that is open."""
        self._astray = self._draft is not None
        if self._draft is not None:
            word = line.tokens[0]
            self._end_missing(word.span, f"this {quote(word.text)}")

    def _end_missing(self, span: Span, what: str) -> None:
        assert self._draft is not None
        name = self._draft.name
        self._error(
            "missing-end",
            span,
            f"the function {quote(name.text)} has no 'end' before {what}",
            hint="put 'end' on a line of its own behind its last instruction",
            notes=[Note(f"{quote(name.text)} starts here", name.span)],
        )
        self._draft = None

    def _read_op(self, line: Line, op: syntax.Op) -> None:
        draft = self._draft
        name = op.tokens[0].text
        known = name in OPCODES or name in RESERVED_OPCODES
        if not known and line.error is None and self._respell(line, op):
            self._read(line)
        elif draft is not None:
            draft.ops.append(op if line.error is None else None)
            if line.error is not None and len(op.tokens) == 1:
                draft.labels_complete = False  # it may have been meant as a label
        elif known:
            self._outside(op.tokens[0], f"the instruction {quote(name)}")
        elif line.error is None and not self._astray:
            self._error(
                "unknown-directive",
                op.tokens[0].span,
                f"there is no directive {quote(name)}",
                expected="'func', 'global' or 'expect'",
            )
            self._astray = True

    def _respell(self, line: Line, op: syntax.Op) -> bool:
        """If this is likely a misspelt directive, report it, and read the line as that one."""
        word = op.tokens[0]
        name = word.text
        following = [token.text for token in op.tokens[2:3]]
        likely = self._closest(name, [*syntax.DIRECTIVES, *(OPCODES if self._draft else ())])
        if likely not in syntax.DIRECTIVES:
            inside = "local" if self._draft else "global"
            likely = {"(": "func", ":": inside}.get("".join(following))
        if likely is None:
            return False
        hint = f"did you mean '{likely}'?"
        message = f"there is no directive {quote(name)}"
        line.error = Diagnostic("unknown-directive", word.span, message, hint=hint)
        line.tokens[0] = word._replace(text=likely)
        syntax.read_statement(line)
        return True

    def _outside(self, token: Token, what: str) -> None:
        if not self._astray:
            self._error(
                "outside-function",
                token.span,
                f"{what} is outside of any function",
                hint="start a function with 'func NAME(PARAMETERS) -> TYPE' before it",
            )
        self._astray = True

    def _read_label(self, name: Token) -> None:
        draft = self._draft
        if draft is None:
            self._outside(name, f"the label {quote(name.text)}")
        elif name.text in draft.labels:
            self._duplicate("duplicate-label", "label", name, draft.labels[name.text][1])
        else:
            draft.labels[name.text] = (len(draft.ops), name)

    def _read_end(self, line: Line) -> None:
        draft = self._draft
        if draft is not None:
            for index, name in draft.labels.values():
                if index == len(draft.ops):
                    self._error(
                        "label-at-end",
                        name.span,
                        f"the label {quote(name.text)} has no instruction behind it",
                        hint="put 'ret' behind it",
                    )
            self._draft = None
        elif not self._astray:
            self._error(
                "stray-end",
                line.tokens[0].span,
                "this 'end' ends nothing",
                hint="remove it, or start a function with 'func' before it",
            )

    def _read_func(self, line: Line, func: syntax.Func) -> None:
        name = func.name or line.tokens[0]
        if func.name is None:
            self._functions_complete = False
        elif name.text in self._functions:
            first = self._drafts[self._functions[name.text]].name
            self._duplicate("duplicate-function", "function", name, first)
        else:
            self._functions[name.text] = len(self._drafts)
        well_formed = line.error is None
        draft = self._draft = _Draft(name, sound=well_formed, locals_complete=well_formed)
        self._drafts.append(draft)
        for declaration in func.params:
            variable = self._declare(declaration, "parameter")
            if variable is not None:
                draft.params.append(variable)
            value = declaration.value
            if value is not None and name.text != "main":
                self._error(
                    "default-outside-main",
                    value.span,
                    f"the parameters of {quote(name.text)} cannot have defaults",
                    hint="remove it: a call passes all arguments; defaults are for 'main' alone",
                )
        if func.result is not None:
            draft.result = self._type(func.result)
            if name.text == "main" and draft.result is not None and draft.result.is_array:
                self._error(
                    "main-result",
                    func.result.span,
                    "'main' cannot return an array",
                    expected="int, float, or no result",
                    found=draft.result,
                )
        draft.declared = draft.sound

    def _read_local(self, line: Line, declaration: Declaration) -> None:
        draft = self._draft
        if draft is None:
            self._outside(line.tokens[0], "this 'local'")
            return
        variable = self._declare(declaration, "local")
        if variable is not None:
            draft.locals.append(variable)
        if declaration.value is not None:
            self._error(
                "local-value",
                declaration.value.span,
                "a local cannot be given a first value: it starts at zero, an array empty",
                hint="use 'push' and 'store' to set it",
            )
        if draft.ops or draft.labels:
            self._error(
                "late-local",
                line.tokens[0].span,
                "locals are declared before the first instruction",
                hint=f"move this line up, below 'func {draft.name.text}'",
                notes=[Note("the function starts here", draft.name.span)],
            )

    def _declare(self, declaration: Declaration, what: str) -> Variable | None:
        """A parameter or local becomes a slot. None if it has no usable type."""
        draft = self._draft
        assert draft is not None
        name = declaration.name
        type_ = None if declaration.type is None else self._type(declaration.type)
        if name is None:
            draft.locals_complete = False
            return None
        if name.text in draft.slots:
            _, first, _ = draft.slots[name.text]
            kind: Kind = "duplicate-parameter" if what == "parameter" else "duplicate-local"
            declared_as = "parameter" if first.line == draft.name.line else "local"
            self._duplicate(kind, declared_as, name, first)
            return None
        draft.slots[name.text] = (len(draft.slots), name, type_)
        if type_ is None:
            return None
        value = None
        if what == "parameter" and draft.name.text == "main":
            if type_.is_array:
                self._error(
                    "main-parameter",
                    name.span,
                    f"the parameter {quote(name.text)} of 'main' cannot be an array",
                    expected="int or float",
                    found=type_,
                    hint="pass a length, and make the array in 'main' with 'newarr'",
                )
            elif declaration.value is not None:
                value = self._value(declaration.value, type_, quote(name.text), name.span)
        return Variable(name.text, type_, value, name.span)

    def _read_global(self, declaration: Declaration) -> None:
        name = declaration.name
        type_ = None if declaration.type is None else self._type(declaration.type)
        if name is None:
            self._globals_complete = False
            return
        value: Number | None = None
        if type_ is not None and not type_.is_array:
            value = 0 if type_ is Type.INT else 0.0
        if type_ is not None and declaration.value is not None:
            value = self._value(declaration.value, type_, quote(name.text), name.span)
        if name.text in self._globals:
            self._duplicate("duplicate-global", "global", name, self._globals[name.text][1])
            return
        self._globals[name.text] = (len(self._globals), name, type_)
        self._variables.append(Variable(name.text, type_ or Type.INT, value, name.span))

    def _duplicate(self, kind: Kind, what: str, name: Token, first: Token) -> None:
        self._error(
            kind,
            name.span,
            f"there is already a {what} {quote(name.text)}",
            hint="give one of them another name",
            notes=[Note("the first is declared here", first.span)],
        )

    def _type(self, token: Token) -> Type | None:
        """The type that a word names, or None after an error."""
        text = token.text
        if text in _TYPES:
            return _TYPES[text]
        if text.partition("[")[0] in RESERVED_TYPES:
            self._error(
                "reserved-type",
                token.span,
                f"the type {quote(text)} is reserved for coroutines, in a later version",
                expected=_TYPE_NAMES,
            )
            return None
        hint = self._suggest(text, _TYPES)
        if text in ("void", "none", "None", "nothing", "unit"):
            hint = "a function without a result has no '->'"
        self._error(
            "unknown-type",
            token.span,
            f"there is no type {quote(text)}",
            expected=_TYPE_NAMES,
            hint=hint,
        )
        return None

    def _value(self, token: Token, type_: Type, of: str, declared: Span) -> Number | None:
        """The number that a literal gives to something of a type, or None after an error."""
        if type_.is_array:
            self._error(
                "array-initialiser",
                token.span,
                f"{of} is an array, which cannot be given a first value",
                hint="it starts empty; make one with 'newarr' and fill it with 'astore'",
                notes=[Note("declared here", declared)],
            )
            return None
        value = self._number(token)
        if value is None or isinstance(value, float) is (type_ is Type.FLOAT):
            return value
        wanted = _as_literal(value, type_)
        self._error(
            "literal-type",
            token.span,
            f"{of} is {a(type_)}, and {token.text} is not",
            expected=f"{type_} literal",
            found=f"{'float' if isinstance(value, float) else 'int'} literal",
            hint=wanted and f"write {wanted}",
            notes=[Note("declared here", declared)],
        )
        return None

    def _number(self, token: Token) -> Number | None:
        try:
            return syntax.read_number(token)
        except Malformed as error:
            self._add(error.diagnostic)
            return None

    # Resolving: names in instructions become indices

    def _function(self, draft: _Draft) -> Function:
        self._draft = draft
        code = []
        for op in draft.ops:
            if op is not None:
                instruction = self._instruction(op, draft)
                if instruction is not None:
                    code.append(instruction)
        name = draft.name
        return Function(
            name.text,
            tuple(draft.params),
            draft.result,
            tuple(draft.locals),
            tuple(code),
            tuple((label, index) for label, (index, _) in draft.labels.items()),
            name.span,
        )

    def _instruction(self, op: syntax.Op, draft: _Draft) -> Instruction | None:
        """The instruction with its operand resolved, or None after an error."""
        name, *operands = op.tokens
        opcode = OPCODES.get(name.text)
        if opcode is None:
            self._unknown_instruction(name, draft)
            return None
        if opcode.operand is None:
            if not operands:
                return Instruction(opcode, None, name.span)
            self._error(
                "unexpected-operand",
                operands[0].span,
                f"'{opcode.name}' takes no operand; it works on the stack",
                hint="there are no strings in a program, only numbers"
                if operands[0].kind == "string"
                else f"put its operands on the stack in the lines before '{opcode.name}'",
            )
            return None
        if not operands:
            self._error(
                "missing-operand",
                name.span,
                f"'{opcode.name}' needs {_OPERANDS[opcode.operand]} behind it",
            )
            return None
        if len(operands) > 1:
            self._error(
                "trailing-tokens",
                operands[1].span,
                f"'{opcode.name}' takes only one operand",
                expected="the end of the line",
                found=quote(operands[1].text),
            )
            return None
        token = operands[0]
        operand = self._operand(opcode, token, draft)
        return None if operand is None else Instruction(opcode, operand, name.span, token.span)

    def _operand(self, opcode: Opcode, token: Token, draft: _Draft) -> Number | Type | None:
        kind = opcode.operand
        if kind is Operand.LITERAL:
            if syntax.is_number(token):
                return self._number(token)
            self._wrong_operand(opcode, token, self._how_to_reach(token.text, draft))
            return None
        if kind is Operand.ELEMENT:
            if token.kind not in ("word", "type"):
                self._wrong_operand(opcode, token, None)
                return None
            type_ = self._type(token)
            if type_ is None or not type_.is_array:
                return type_
            self._wrong_operand(
                opcode, token, f"write '{opcode.name} {token.text.removesuffix('[]')}'"
            )
            return None
        if token.kind != "word":
            loads = kind in (Operand.LOCAL, Operand.GLOBAL) and opcode.effects[0].pushes
            literal = syntax.is_number(token) and loads
            hint = f"use 'push {token.text}' to push a number" if literal else None
            if kind is Operand.LABEL:
                hint = "a label is a line 'NAME:'; the jump goes to the instruction below it"
            self._wrong_operand(opcode, token, hint)
            return None
        name = token.text
        if kind is Operand.LOCAL and name in draft.slots:
            return draft.slots[name][0]
        if kind is Operand.GLOBAL and name in self._globals:
            index, _, type_ = self._globals[name]
            draft.sound = draft.sound and type_ is not None
            return index
        if kind is Operand.LABEL and name in draft.labels:
            return draft.labels[name][0]
        if kind is Operand.FUNCTION and name in self._functions:
            draft.sound = draft.sound and self._drafts[self._functions[name]].declared
            return self._functions[name]
        self._unknown_name(opcode, token, draft)
        return None

    def _wrong_operand(self, opcode: Opcode, token: Token, hint: str | None) -> None:
        assert opcode.operand is not None
        self._error(
            "wrong-operand",
            token.span,
            f"'{opcode.name}' needs {_OPERANDS[opcode.operand]}, not {quote(token.text)}",
            hint=hint,
        )

    def _unknown_name(self, opcode: Opcode, token: Token, draft: _Draft) -> None:
        name = token.text
        match opcode.operand:
            case Operand.LOCAL:
                kind: Kind = "unknown-local"
                known: Collection[str] = draft.slots
                complete = draft.locals_complete
            case Operand.GLOBAL:
                kind, known, complete = "unknown-global", self._globals, self._globals_complete
            case Operand.LABEL:
                kind, known, complete = "unknown-label", draft.labels, draft.labels_complete
            case _:
                kind, known = "unknown-function", self._functions
                complete = self._functions_complete
        draft.sound = False
        if not complete:
            return
        what = kind.removeprefix("unknown-")
        where = f" in {quote(draft.name.text)}" if known in (draft.slots, draft.labels) else ""
        self._error(
            kind,
            token.span,
            f"there is no {what} {quote(name)}{where}",
            hint=self._how_to_reach(name, draft, opcode)
            or self._suggest(name, known)
            or self._elsewhere(name, opcode)
            or _DECLARE[kind].format(name=name, function=draft.name.text),
        )

    def _how_to_reach(self, name: str, draft: _Draft, opcode: Opcode | None = None) -> str | None:
        """A hint at the instruction that does reach a name, if the name is of another sort."""
        storing = opcode is not None and bool(opcode.effects[0].pops)
        if name in draft.slots:
            return f"{quote(name)} is a local: use '{'store' if storing else 'load'} {name}'"
        if name in self._globals:
            return f"{quote(name)} is a global: use '{'gstore' if storing else 'gload'} {name}'"
        if name in draft.labels:
            return f"{quote(name)} is a label: use 'jmp {name}'"
        if name in self._functions:
            return f"{quote(name)} is a function: use 'call {name}'"
        if name in OPCODES:
            return f"{quote(name)} is an instruction: write it on a line of its own"
        return None

    def _elsewhere(self, name: str, opcode: Opcode) -> str | None:
        """A hint at another function's label of this name."""
        if opcode.operand is not Operand.LABEL:
            return None
        if self._elsewheres is None:
            self._elsewheres = {label: d.name.text for d in self._drafts for label in d.labels}
        function = self._elsewheres.get(name)
        return function and f"{quote(name)} is in {quote(function)}; jumps stay in their function"

    def _unknown_instruction(self, token: Token, draft: _Draft) -> None:
        name = token.text
        if name in RESERVED_OPCODES:
            self._error(
                "reserved-instruction",
                token.span,
                f"the instruction '{name}' is reserved for coroutines, in a later version",
            )
            return
        hint = self._suggest(name, OPCODES)
        if name in self._functions:
            hint = f"{quote(name)} is a function: use 'call {name}'"
        self._error(
            "unknown-instruction", token.span, f"there is no instruction {quote(name)}", hint=hint
        )

    # Whole-program checks

    def _check_main(self) -> None:
        if "main" in self._functions or not self._functions_complete:
            return
        likely = self._closest("main", self._functions)
        notes = []
        if likely is not None:
            first = self._drafts[self._functions[likely]].name
            notes = [Note(f"did you mean 'main' instead of {quote(likely)}?", first.span)]
        self._error(
            "missing-main",
            Span(1, 1),
            "the program has no function 'main'",
            hint="a program starts in 'func main()'; write one, closed by 'end'",
            notes=notes,
        )

    def _expectation(self, expect: syntax.Expect) -> Expectation | None:
        """What an `expect` line demands, or None after an error."""
        function = expect.function
        assert function is not None
        if function.text != "main":
            self._error(
                "expect-function",
                function.span,
                f"only 'main' can be expected to do something, not {quote(function.text)}",
                hint="write 'expect main(ARGUMENTS) -> RESULT'",
            )
            return None
        if "main" not in self._functions:
            return None
        main = self._drafts[self._functions["main"]]
        if not main.declared:
            return None
        declared = Note("'main' is declared here", main.name.span)
        if len(expect.args) != len(main.params):
            takes = counted(len(main.params), "argument")
            parameters = ", ".join(f"{p.name}: {p.type}" for p in main.params)
            self._error(
                "expect-arguments",
                function.span,
                f"'main' takes {takes}, but gets {len(expect.args)}",
                expected=f"main({parameters})",
                found=f"main({', '.join(t.text for t in expect.args)})",
                hint="give every argument; defaults do not count here",
                notes=[declared],
            )
            return None
        errors = len(self._diagnostics)
        args = []
        for token, param in zip(expect.args, main.params, strict=True):
            value = self._value(token, param.type, f"the parameter {quote(param.name)}", param.span)
            if value is not None:
                args.append(value)
        outcome = self._expected(expect, main, declared)
        if len(self._diagnostics) > errors:
            return None
        return Expectation(tuple(args), *outcome, span=function.span)

    def _expected(
        self, expect: syntax.Expect, main: _Draft, declared: Note
    ) -> tuple[Number | None, str | None, str | None]:
        """The result, the trap and the output that an `expect` line demands: one at most."""
        token = expect.value
        if expect.how is not None and expect.how.text == "nothing":
            if main.result is not None:
                self._error(
                    "expect-result",
                    expect.how.span,
                    f"'main' returns {a(main.result)}, not nothing",
                    hint="write the number it must return",
                    notes=[declared],
                )
            return None, None, None
        assert token is not None
        if expect.how is None:
            if main.result is not None:
                value = self._value(token, main.result, "the result of 'main'", main.name.span)
                return value, None, None
            self._error(
                "expect-result",
                token.span,
                "'main' returns nothing, but a number is expected",
                hint="write '-> nothing', or expect what it prints: '-> prints \"…\"'",
                notes=[declared],
            )
            return None, None, None
        if expect.how.text == "trap":
            if token.text not in _TRAPS:
                self._error(
                    "unknown-trap",
                    token.span,
                    f"there is no trap {quote(token.text)}",
                    expected=either(_TRAPS),
                    hint=self._suggest(token.text, _TRAPS),
                )
            return None, token.text, None
        text = token.text[1:-1]
        for word in text.split(" ") if text else []:
            printed = _as_printed(word)
            if printed != word:
                self._error(
                    "prints-form",
                    token.span,
                    f"no value is printed as {quote(word)}",
                    expected="the printed values, each in the form of 'print', one space between",
                    hint=f"write {printed}" if printed else None,
                )
                break
        return None, None, text


_TYPES = {str(type_): type_ for type_ in Type}
_TYPE_NAMES = either(list(_TYPES))
_TRAPS = tuple(str(trap) for trap in Trap)

_OPERANDS = {
    Operand.LITERAL: "a number",
    Operand.LOCAL: "the name of a local",
    Operand.GLOBAL: "the name of a global",
    Operand.LABEL: "the name of a label",
    Operand.FUNCTION: "the name of a function",
    Operand.ELEMENT: "the type of the elements, int or float",
}

# How to bring a name into being, by the kind of diagnostic that misses it.
_DECLARE = {
    "unknown-local": "declare it at the top of '{function}': 'local {name}: TYPE'",
    "unknown-global": "declare it outside of all functions: 'global {name}: TYPE'",
    "unknown-label": "mark the place to go to with a line '{name}:' in '{function}'",
    "unknown-function": "define it: 'func {name}(PARAMETERS) -> TYPE'",
}


def _as_printed(text: str) -> str | None:
    """How `print` puts out the number that a text means; None if it means none."""
    try:
        return format_number(syntax.read_number(Token("number", text, 1, 1)))
    except Malformed:
        return None


def _as_literal(value: Number, type_: Type) -> str | None:
    """A literal of the type for the same number, if there is one."""
    if type_ is Type.FLOAT:
        return repr(float(value))
    return str(int(value)) if value == value // 1 and abs(value) < 2**63 else None
