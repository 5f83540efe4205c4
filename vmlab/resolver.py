"""The second pass: a function as it was read -> a `Function`, with names resolved to indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmlab import syntax
from vmlab.diagnostics import Findings, Kind, quote, shortened
from vmlab.isa import OPCODES, Opcode, Operand, Type
from vmlab.literals import TYPES, read_number, read_type
from vmlab.program import Function, Instruction, Number
from vmlab.reader import Draft, Reader
from vmlab.syntax import Token

_NO_STRINGS = "there are no strings in a program, only numbers"

# The first instruction with this sort of operand that takes, or does not take, from the stack.
_INSTRUCTIONS = {
    (opcode.operand, bool(opcode.effects[0].pops)): opcode.name
    for opcode in reversed(OPCODES.values())
}


def resolve(draft: Draft, reader: Reader, findings: Findings) -> Function:
    """The function. If something is wrong with it, or with what it uses, `draft.sound` becomes
    false, and the function is good for its header only."""
    resolver = _Resolver(draft, reader, findings)
    found_before = len(findings)
    code = [resolver.instruction(op.tokens) for op in draft.ops if op is not None]
    draft.sound = draft.sound and not resolver.unreadable and len(findings) == found_before
    return Function(
        draft.name.text,
        tuple(draft.params),
        draft.result,
        tuple(draft.locals),
        tuple(instruction for instruction in code if instruction is not None),
        tuple((label, index) for label, (index, _) in draft.labels.items()),
        draft.name.span,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """The names that one sort of operand can be. `declare` says how to bring one into being."""

    unknown: Kind
    known: Mapping[str, Any]
    complete: bool
    declare: str
    where: str = ""


class _Resolver:
    """Resolves the instructions of one function.

    unreadable  that it uses something whose declaration could not be read
    """

    def __init__(self, draft: Draft, reader: Reader, findings: Findings) -> None:
        self.unreadable = False
        self._draft = draft
        self._reader = reader
        self._findings = findings
        function = quote(draft.name.text)
        self._names = {
            Operand.LOCAL: _Names(
                "unknown-local",
                draft.slots,
                draft.locals_complete,
                f"declare it at the top of {function}: 'local {{}}: TYPE'",
                f" in {function}",
            ),
            Operand.GLOBAL: _Names(
                "unknown-global",
                reader.globals,
                reader.globals_complete,
                "declare it outside of all functions: 'global {}: TYPE'",
            ),
            Operand.LABEL: _Names(
                "unknown-label",
                draft.labels,
                draft.labels_complete,
                f"mark the place to go to with a line '{{}}:' in {function}",
                f" in {function}",
            ),
            Operand.FUNCTION: _Names(
                "unknown-function",
                reader.functions,
                reader.functions_complete,
                "define it: 'func {}(NAME: TYPE, …) -> TYPE'",
            ),
        }

    def instruction(self, tokens: Sequence[Token]) -> Instruction | None:
        """An instruction with its operand resolved, or None after an error."""
        name, *operands = tokens
        opcode = OPCODES.get(name.text)
        if opcode is None:
            self._unknown_instruction(tokens)
        elif opcode.operand is None:
            if not operands:
                return Instruction(opcode, None, name.span)
            self._findings.error(
                "unexpected-operand",
                operands[0].span,
                f"'{opcode.name}' takes no operand; it works on the stack",
                hint=self._unexpected_operand_hint(opcode, operands[0]),
            )
        elif not operands:
            self._findings.error(
                "missing-operand", name.span, f"'{opcode.name}' needs {_needed(opcode)} behind it"
            )
        elif len(operands) > 1:
            takes = any(effect.pops for effect in opcode.effects)
            hint = f"what '{opcode.name}' works on comes from the stack; push it before"
            self._findings.add(syntax.trailing(tokens, 2, hint if takes else None))
        else:
            operand = self._operand(opcode, operands[0])
            if operand is not None:
                return Instruction(opcode, operand, name.span, operands[0].span)
        return None

    def _operand(self, opcode: Opcode, token: Token) -> Number | Type | None:
        match opcode.operand:
            case Operand.LITERAL if syntax.is_number(token):
                return read_number(token, self._findings)
            case Operand.ELEMENT if token.kind in ("word", "type"):
                type_ = read_type(token, self._findings)
                if type_ is None or type_.is_number:
                    return type_
            case Operand.LOCAL | Operand.GLOBAL | Operand.LABEL | Operand.FUNCTION:
                if token.kind == "word":
                    return self._index(opcode, token)
        self._findings.error(
            "wrong-operand",
            token.span,
            f"'{opcode.name}' needs {_needed(opcode)}, not {quote(token.text)}",
            hint=self._wrong_operand_hint(opcode, token),
        )
        return None

    def _index(self, opcode: Opcode, token: Token) -> int | None:
        """What a name stands for, or None after an error."""
        name, draft, reader = token.text, self._draft, self._reader
        match opcode.operand:
            case Operand.LOCAL if name in draft.slots:
                return draft.slots[name].index
            case Operand.GLOBAL if name in reader.globals:
                self.unreadable |= reader.globals[name].type is None
                return reader.globals[name].index
            case Operand.LABEL if name in draft.labels:
                return draft.labels[name][0]
            case Operand.FUNCTION if name in reader.functions:
                index = reader.functions[name]
                self.unreadable |= not reader.drafts[index].declared
                return index
        self._unknown_name(opcode, token)
        return None

    def _unknown_name(self, opcode: Opcode, token: Token) -> None:
        assert opcode.operand is not None
        names = self._names[opcode.operand]
        if not names.complete:
            self.unreadable = True
            return
        name = token.text
        self._findings.error(
            names.unknown,
            token.span,
            f"there is no {opcode.operand} {quote(name)}{names.where}",
            hint=self._other_use(name, opcode)
            or self._findings.suggest(name, names.known)
            or self._other_function(name, opcode)
            or names.declare.format(shortened(name)),
        )

    def _unknown_instruction(self, tokens: Sequence[Token]) -> None:
        name = tokens[0].text
        self._findings.error(
            "unknown-instruction",
            tokens[0].span,
            f"there is no instruction {quote(name)}",
            hint=self._other_use(name)
            or self._findings.suggest(name, OPCODES)
            or _shape_hint(tokens),
        )

    # Hints

    def _unexpected_operand_hint(self, opcode: Opcode, token: Token) -> str | None:
        if token.kind == "string":
            return _NO_STRINGS
        if syntax.is_number(token):
            return f"put it on the stack in a line before: {quote(f'push {token.text}')}"
        if opcode.name in TYPES and token.text not in self._draft.slots:
            return f"to declare a local, write {quote(f'local {token.text}: {opcode.name}')}"
        return self._other_use(token.text)

    def _wrong_operand_hint(self, opcode: Opcode, token: Token) -> str | None:
        if token.kind == "string":
            return _NO_STRINGS
        match opcode.operand:
            case Operand.LITERAL:
                return self._other_use(token.text)
            case Operand.ELEMENT if token.text.endswith("[]"):
                return f"write '{opcode.name} {token.text.removesuffix('[]')}'"
            case Operand.LOCAL | Operand.GLOBAL if syntax.is_number(token):
                return None if opcode.effects[0].pops else f"write {quote(f'push {token.text}')}"
            case Operand.LABEL:
                return "a label is a line 'NAME:'; the jump goes to the instruction below it"
        return None

    def _other_use(self, name: str, opcode: Opcode | None = None) -> str | None:
        """If a name is of another sort than where it stands, the instruction that takes it."""
        pops = opcode is not None and bool(opcode.effects[0].pops)
        for operand, names in self._names.items():
            if name in names.known:
                use = _INSTRUCTIONS.get((operand, pops)) or _INSTRUCTIONS[operand, not pops]
                return f"{quote(name)} is a {operand}: use {quote(f'{use} {name}')}"
        if name in OPCODES:
            return f"{quote(name)} is an instruction: write it on a line of its own"
        return None

    def _other_function(self, name: str, opcode: Opcode) -> str | None:
        """If a label is another function's, that one."""
        function = self._reader.label_functions.get(name)
        if opcode.operand is not Operand.LABEL or function is None:
            return None
        return f"{quote(name)} is in {quote(function)}; jumps stay in their function"


def _shape_hint(tokens: Sequence[Token]) -> str | None:
    """What a line was likely meant to be that does not start with anything known."""
    if len(tokens) == 1:
        return f"if this is a label, write {quote(tokens[0].text + ':')}"
    if len(tokens) > 2:
        return "there are no expressions: a line is one instruction, with one operand at most"
    return None


def _needed(opcode: Opcode) -> str:
    """What must stand behind an instruction's name."""
    match opcode.operand:
        case Operand.LITERAL:
            return "a number"
        case Operand.ELEMENT:
            return "the type of its values (int or float)"
    return f"the name of a {opcode.operand}"
