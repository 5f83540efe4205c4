"""The first pass: lines of a source -> functions and names, as far as they can be read.

What is wrong with a line is reported once, and what it would have declared is remembered as
unreadable, so that nothing else is blamed for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from vmlab import syntax
from vmlab.diagnostics import Diagnostic, Findings, Kind, Note, a, quote
from vmlab.isa import OPCODES, Type
from vmlab.literals import read_type, read_value
from vmlab.program import Number, Source, Span, Variable
from vmlab.syntax import Declaration, Line, Token


@dataclass(frozen=True, slots=True)
class Slot:
    """A local or global: its index, its name where it is declared, and its type, None if that
    could not be read."""

    index: int
    name: Token
    type: Type | None


@dataclass(slots=True)
class Draft:
    """A function as it is read.

    slots            parameters and locals by name
    ops              None for a line that is malformed
    labels           the index of the instruction below each, and its name where it stands
    sound            nothing in its own text is wrong
    declared         nothing in its header is wrong, so that calls of it can be checked
    locals_complete  all names of locals could be read: a name not among them does not exist
    labels_complete  likewise
    """

    name: Token
    params: list[Variable] = field(default_factory=list)
    locals: list[Variable] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    result: Type | None = None
    ops: list[syntax.Op | None] = field(default_factory=list)
    labels: dict[str, tuple[int, Token]] = field(default_factory=dict)
    sound: bool = True
    declared: bool = True
    locals_complete: bool = True
    labels_complete: bool = True


class Reader:
    """Reads a source. What it finds:

    globals             by name; their `Variable`s, in order, are `variables`
    drafts              the functions in order; `functions` has their indices by name
    expects             the `expect` lines that are well formed
    globals_complete    all names of globals could be read: a name not among them does not exist
    functions_complete  likewise
    """

    def __init__(self, source: Source, findings: Findings) -> None:
        self.globals: dict[str, Slot] = {}
        self.variables: list[Variable] = []
        self.drafts: list[Draft] = []
        self.functions: dict[str, int] = {}
        self.expects: list[syntax.Expect] = []
        self.globals_complete = True
        self.functions_complete = True
        self._findings = findings
        self._draft: Draft | None = None  # the function that the lines are in
        self._found_before = 0  # the number of findings where it starts
        self._astray = False  # that the lines are outside of any function has been reported
        last = None
        for line in syntax.read_lines(source):
            self._read(line)
            last = line.tokens[-1] if line.tokens else last
        if self._draft is not None and last is not None:
            end = Span(last.line, last.column + len(last.text))
            self._end_missing(self._draft, end, "the end of the file")

    @cached_property
    def label_functions(self) -> dict[str, str]:
        """By each label, the name of a function that has it."""
        return {label: draft.name.text for draft in self.drafts for label in draft.labels}

    def _read(self, line: Line) -> None:
        if line.error is not None:
            self._findings.add(line.error)
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
                self._read_global(line, declaration)
            case syntax.Expect() as expect:
                self._start_directive(line)
                if line.error is None:
                    self.expects.append(expect)
            case None if line.error is not None and self._draft is not None:
                self._draft.labels_complete = False

    def _start_directive(self, line: Line) -> None:
        """What stands outside of functions ends one that is open."""
        self._astray = self._draft is not None
        if self._draft is not None:
            word = line.tokens[0]
            self._end_missing(self._draft, word.span, f"this {quote(word.text)}")

    def _end_missing(self, draft: Draft, span: Span, what: str) -> None:
        name = draft.name
        self._findings.error(
            "missing-end",
            span,
            f"the function {quote(name.text)} has no 'end' before {what}",
            hint="put 'end' on a line of its own behind its last instruction",
            notes=[Note(f"{quote(name.text)} starts here", name.span)],
        )
        self._close(draft)

    def _close(self, draft: Draft) -> None:
        draft.sound = draft.sound and len(self._findings) == self._found_before
        self._draft = None

    def _read_op(self, line: Line, op: syntax.Op) -> None:
        draft = self._draft
        name = op.tokens[0].text
        known = name in OPCODES
        if not known and line.error is None and self._respell(line, op):
            self._read(line)
        elif draft is not None:
            draft.ops.append(op if line.error is None else None)
            if line.error is not None and len(op.tokens) == 1:
                draft.labels_complete = False  # it may have been meant as a label
        elif known:
            self._outside(op.tokens[0], f"the instruction {quote(name)}")
        elif line.error is None and not self._astray:
            self._findings.error(
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
        outside = self._draft is None
        known = [*syntax.DIRECTIVES, *(() if outside else OPCODES)]
        likely = self._findings.closest(name, known)
        if likely not in syntax.DIRECTIVES:
            third = op.tokens[2].text if len(op.tokens) > 2 else ""
            shapes = {"(": "func", ":": "global"} if outside else {":": "local"}
            likely = shapes.get(third)
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
            self._findings.error(
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
                    self._findings.error(
                        "label-at-end",
                        name.span,
                        f"the label {quote(name.text)} has no instruction behind it",
                        hint="put 'ret' behind it",
                    )
            self._close(draft)
            self._astray = line.error is not None  # it may not have been meant as an end
        elif not self._astray:
            self._findings.error(
                "stray-end",
                line.tokens[0].span,
                "this 'end' ends nothing",
                hint="remove it, or start a function with 'func' before it",
            )

    def _read_func(self, line: Line, func: syntax.Func) -> None:
        name = func.name or line.tokens[0]
        if func.name is None:
            self.functions_complete = False
        elif name.text in self.functions:
            first = self.drafts[self.functions[name.text]].name
            self._duplicate("duplicate-function", "function", name, first)
        else:
            self.functions[name.text] = len(self.drafts)
        well_formed = line.error is None
        draft = self._draft = Draft(name, sound=well_formed, locals_complete=well_formed)
        self._found_before = len(self._findings)
        self.drafts.append(draft)
        for declaration in func.params:
            variable = self._declare(draft, declaration, "parameter")
            if variable is not None:
                draft.params.append(variable)
            value = declaration.value
            if value is not None and name.text != "main":
                self._findings.error(
                    "default-outside-main",
                    value.span,
                    f"the parameters of {quote(name.text)} cannot have defaults",
                    hint="remove it: a call passes all arguments; defaults are for 'main' alone",
                )
        if func.result is not None:
            draft.result = read_type(func.result, self._findings)
            if name.text == "main" and draft.result is not None and not draft.result.is_number:
                self._findings.error(
                    "main-result",
                    func.result.span,
                    f"'main' cannot return {a(draft.result)}",
                    expected="int, float, or no result",
                    found=draft.result,
                )
        draft.declared = well_formed and len(self._findings) == self._found_before

    def _read_local(self, line: Line, declaration: Declaration) -> None:
        draft = self._draft
        if draft is None:
            self._outside(line.tokens[0], "this 'local'")
            return
        variable = self._declare(draft, declaration, "local")
        if variable is not None:
            draft.locals.append(variable)
        if declaration.value is not None:
            self._findings.error(
                "local-value",
                declaration.value.span,
                "a local cannot be given a first value: it starts at zero, or empty",
                hint="use 'push' and 'store' to set it",
            )
        if draft.ops or draft.labels:
            self._findings.error(
                "late-local",
                line.tokens[0].span,
                "locals are declared before the first instruction",
                hint=f"move this line up, below 'func {draft.name.text}'",
                notes=[Note("the function starts here", draft.name.span)],
            )

    def _declare(self, draft: Draft, declaration: Declaration, what: str) -> Variable | None:
        """A parameter or local becomes a slot. None if it has no usable type."""
        name = declaration.name
        type_ = None if declaration.type is None else read_type(declaration.type, self._findings)
        if name is None:
            draft.locals_complete = False
            return None
        if name.text in draft.slots:
            first = draft.slots[name.text].name
            kind: Kind = "duplicate-parameter" if what == "parameter" else "duplicate-local"
            declared_as = "parameter" if first.line == draft.name.line else "local"
            self._duplicate(kind, declared_as, name, first)
            return None
        draft.slots[name.text] = Slot(len(draft.slots), name, type_)
        if type_ is None:
            return None
        value = None
        if what == "parameter" and draft.name.text == "main":
            if not type_.is_number:
                self._findings.error(
                    "main-parameter",
                    name.span,
                    f"the parameter {quote(name.text)} of 'main' cannot be {a(type_)}",
                    expected="int or float",
                    found=type_,
                    hint="pass a number, and make the rest in 'main' of it",
                )
            elif declaration.value is not None:
                value = read_value(
                    declaration.value, type_, quote(name.text), name.span, self._findings
                )
        return Variable(name.text, type_, value, name.span)

    def _read_global(self, line: Line, declaration: Declaration) -> None:
        name = declaration.name
        type_ = None if declaration.type is None else read_type(declaration.type, self._findings)
        if name is None:
            self.globals_complete = False
            return
        value: Number | None = None
        if type_ is not None and type_.is_number:
            value = 0 if type_ is Type.INT else 0.0
        if type_ is not None and declaration.value is not None and line.error is None:
            value = read_value(
                declaration.value, type_, quote(name.text), name.span, self._findings
            )
        if name.text in self.globals:
            self._duplicate("duplicate-global", "global", name, self.globals[name.text].name)
            return
        self.globals[name.text] = Slot(len(self.globals), name, type_)
        self.variables.append(Variable(name.text, type_ or Type.INT, value, name.span))

    def _duplicate(self, kind: Kind, what: str, name: Token, first: Token) -> None:
        self._findings.error(
            kind,
            name.span,
            f"there is already a {what} {quote(name.text)}",
            hint="give one of them another name",
            notes=[Note("the first is declared here", first.span)],
        )
