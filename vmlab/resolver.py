"""The second pass: a function as it was read -> a `Function`, with names resolved to indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmlab import syntax
from vmlab.diagnostics import Findings, Kind, quote, shortened
from vmlab.draft import ANY_NAME, Draft
from vmlab.isa import OPCODES, Flow, Opcode, Operand, Type
from vmlab.literals import TYPES, read_number, read_type
from vmlab.program import Function, Instruction, Number
from vmlab.reader import Reader
from vmlab.syntax import Token
from vmlab.unknown import UNKNOWN, UNREADABLE

_NO_STRINGS = "there are no strings in a program, only numbers"
_NO_BLOCKS = "there are no blocks: 'jmp', 'jz' and 'jnz' go to labels"
_BLOCKS = ("if", "else", "elif", "for", "while", "do", "repeat", "until", "goto", "break")

# The first instruction with this sort of operand that takes, or does not take, from the stack.
_INSTRUCTIONS = {
    (opcode.operand, bool(opcode.effects[0].pops)): opcode.name
    for opcode in reversed(OPCODES.values())
}


def resolve(draft: Draft, reader: Reader, findings: Findings) -> Function:
    """The function. What is wrong with it is unknown in it: see `vmlab.unknown`."""
    resolver = _Resolver(draft, reader, findings)
    return Function(
        draft.name.text,
        tuple(draft.params),
        draft.result,
        tuple(draft.locals),
        tuple(map(resolver.instruction, draft.ops)),
        tuple((label, index) for label, (index, _) in draft.labels.items()),
        draft.name.span,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """The names that one sort of operand can be. `declare` says how to bring one into being;
    `doubtful` has those that may exist, or may be of another type or at another place."""

    unknown: Kind
    known: Mapping[str, Any]
    doubtful: set[str]
    declare: str
    where: str = ""


class _Resolver:
    """Resolves the instructions of one function."""

    def __init__(self, draft: Draft, reader: Reader, findings: Findings) -> None:
        self._draft = draft
        self._reader = reader
        self._findings = findings
        function = quote(draft.name.text)
        self._names = {
            Operand.LOCAL: _Names(
                "unknown-local",
                draft.slots,
                draft.doubtful,
                f"declare it at the top of {function}: 'local {{}}: TYPE'",
                f" in {function}",
            ),
            Operand.GLOBAL: _Names(
                "unknown-global",
                reader.globals,
                reader.doubtful,
                "declare it outside of all functions: 'global {}: TYPE'",
            ),
            Operand.LABEL: _Names(
                "unknown-label",
                draft.labels,
                draft.doubtful,
                f"mark the place to go to with a line '{{}}:' in {function}",
                f" in {function}",
            ),
            Operand.FUNCTION: _Names(
                "unknown-function",
                reader.functions,
                reader.doubtful,
                "define it: 'func {}(NAME: TYPE, …) -> TYPE'",
            ),
        }

    def instruction(self, op: syntax.Op | Token) -> Instruction:
        """An instruction with its operand resolved."""
        if isinstance(op, Token):
            return Instruction(UNREADABLE[None], None, op.span)
        name, *operands = op.tokens
        opcode = OPCODES.get(name.text)
        if opcode is None:
            if op.whole:
                self._unknown_instruction(op.tokens)
            return Instruction(UNREADABLE[None], None, name.span)
        most = 0 if opcode.operand is None else 1
        if len(operands) > most or not (op.whole or most):
            if op.whole:
                self._surplus(opcode, op.tokens)
            return Instruction(UNREADABLE[opcode.flow], None, name.span)
        operand = None
        if most and op.whole:
            if operands:
                operand = self._operand(opcode, operands[0])
            else:
                message = f"'{opcode.name}' needs {_needed(opcode)} behind it"
                self._findings.error("missing-operand", name.span, message)
        of_unknown_callee = opcode.operand is Operand.FUNCTION and operand is None
        if of_unknown_callee or (opcode.flow is Flow.RETURN and not self._draft.well_formed):
            opcode = UNREADABLE[opcode.flow]
        return Instruction(opcode, operand, name.span, operands[0].span if operands else None)

    def _surplus(self, opcode: Opcode, tokens: Sequence[Token]) -> None:
        """There are more operands than the instruction takes."""
        if opcode.operand is None:
            self._findings.error(
                "unexpected-operand",
                tokens[1].span,
                f"'{opcode.name}' takes no operand; it works on the stack",
                hint=self._unexpected_operand_hint(opcode, tokens[1]),
            )
        else:
            takes = any(effect.pops for effect in opcode.effects)
            hint = f"what '{opcode.name}' works on comes from the stack; push it before"
            self._findings.add(syntax.trailing(tokens, 2, hint if takes else None))

    def _operand(self, opcode: Opcode, token: Token) -> Number | Type | None:
        match opcode.operand:
            case Operand.LITERAL if syntax.is_number(token):
                return read_number(token, self._findings)
            case Operand.ELEMENT if token.kind in ("word", "type"):
                type_ = read_type(token, self._findings)
                if type_ is UNKNOWN or type_.is_number:
                    return None if type_ is UNKNOWN else type_
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
        assert opcode.operand is not None
        if name in self._names[opcode.operand].doubtful:
            return None
        match opcode.operand:
            case Operand.LOCAL if name in draft.slots:
                return draft.slots[name].index
            case Operand.GLOBAL if name in reader.globals:
                return reader.globals[name].index
            case Operand.LABEL if name in draft.labels:
                return draft.labels[name][0]
            case Operand.FUNCTION if name in reader.functions:
                return reader.functions[name]
        self._unknown_name(opcode.operand, opcode, token)
        return None

    def _unknown_name(self, operand: Operand, opcode: Opcode, token: Token) -> None:
        name, names = token.text, self._names[operand]
        if ANY_NAME in names.doubtful:
            return
        hint = (
            self._other_use(name, opcode)
            or self._findings.suggest(name, names.known)
            or self._other_function(name, opcode)
        )
        if hint is None:
            # One declaration mends all uses.
            names.doubtful.add(name)
            hint = names.declare.format(shortened(name))
        self._findings.error(
            names.unknown,
            token.span,
            f"there is no {operand} {quote(name)}{names.where}",
            hint=hint,
        )

    def _unknown_instruction(self, tokens: Sequence[Token]) -> None:
        name = tokens[0].text
        self._findings.error(
            "unknown-instruction",
            tokens[0].span,
            f"there is no instruction {quote(name)}",
            hint=self._other_use(name)
            or (_NO_BLOCKS if name in _BLOCKS else None)
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
            case Operand.LOCAL | Operand.GLOBAL if token.kind == "type":
                if opcode.effects[0].pops:
                    return "'astore' sets an element; it takes the array, the index and the value"
                return "'aload' reads an element; it takes the array and the index"
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
