"""The first pass: lines of a source -> functions and names, as far as they can be read.

What is wrong with a line is reported once, and what it would have declared is remembered as
unreadable, so that nothing else is blamed for it.
"""

from __future__ import annotations

import itertools
from functools import cached_property

from vmlab import syntax
from vmlab.diagnostics import Findings, Kind, Note, a, quote
from vmlab.draft import ANY_NAME, Draft, Slot
from vmlab.isa import OPCODES, Type
from vmlab.literals import NO_TYPES, read_type, read_value
from vmlab.program import Number, Source, Span, Variable
from vmlab.syntax import Declaration, Line, Token
from vmlab.unknown import UNKNOWN


class Reader:
    """Reads a source. What it finds:

    globals    by name; their `Variable`s, in order, are `variables`
    drafts     the functions in order; `functions` has their indices by name
    expects    the `expect` lines that are well formed
    doubtful   like a draft's, of globals and functions
    """

    def __init__(self, source: Source, findings: Findings) -> None:
        self.globals: dict[str, Slot] = {}
        self.variables: list[Variable] = []
        self.drafts: list[Draft] = []
        self.functions: dict[str, int] = {}
        self.expects: list[syntax.Expect] = []
        self.doubtful: set[str] = set()
        self._findings = findings
        self._draft: Draft | None = None  # the function that the lines are in
        self._ended: Draft | None = None  # the one that they may still be in, after an `end`
        self._astray = False  # that the lines are outside of any function has been reported
        last = None
        for line in syntax.read_lines(source):
            self._read(line)
            last = line.tokens[-1] if line.tokens else last
        if self._draft is not None and last is not None:
            end = Span(last.line, last.column + len(last.text))
            self._end_missing(self._draft, end, "the end of the file")
        for draft in self.drafts:
            self._finish(draft)
        for before, draft in itertools.pairwise(self.drafts):
            if draft.headless:
                before.doubtful.update(draft.labels)  # an `end` between them may be one too many

    @cached_property
    def label_functions(self) -> dict[str, str]:
        """By each label, the name of a function that has it."""
        drafts = [draft for draft in self.drafts if not draft.headless]
        return {label: draft.name.text for draft in drafts for label in draft.labels}

    def _read(self, line: Line) -> None:
        if line.error is not None:
            self._findings.add(line.error)
        match line.statement:
            case syntax.Op() as op:
                self._read_op(line, op)
            case syntax.Label() as label:
                self._read_label(label)
            case syntax.Local(declaration):
                self._read_local(line, declaration)
            case syntax.End():
                self._read_end(line)
            case syntax.Func() as func:
                self._start_directive(line)
                self._draft = None
                self._read_func(line, func)
            case syntax.Global(declaration):
                self._start_directive(line)
                self._read_global(line, declaration)
            case syntax.Expect() as expect:
                self._start_directive(line)
                if line.whole:
                    self.expects.append(expect)
            case None if line.tokens and self._draft is not None:
                self._unreadable(self._draft, line)

    def _unreadable(self, draft: Draft, line: Line) -> None:
        """A line in a function may have been an instruction, or declare a name."""
        draft.ops.append(line.tokens[0])
        draft.doubtful.update(line.words())

    def _start_directive(self, line: Line) -> None:
        """What stands outside of functions may be in one that is open. If the next instruction
        could be its next, it stays open."""
        draft = self._draft
        if draft is not None:
            word = line.tokens[0]
            misplaced = draft.goes_on and not isinstance(line.statement, syntax.Func)
            self._end_missing(draft, word.span, f"this {quote(word.text)}", misplaced)
            self._draft = draft if draft.goes_on else None
        self._astray = draft is not None
        self._ended = None

    def _end_missing(self, draft: Draft, span: Span, what: str, misplaced: bool = False) -> None:
        name = draft.name
        if not draft.end_missing:
            other = ", or move this line out of the function" if misplaced else ""
            self._findings.error(
                "missing-end",
                span,
                f"the function {quote(name.text)} has no 'end' before {what}",
                hint=f"put 'end' on a line of its own behind its last instruction{other}",
                notes=[Note(f"{quote(name.text)} starts here", name.span)],
            )
        draft.end_missing = True

    def _finish(self, draft: Draft) -> None:
        if draft.ops and draft.ops[-1] is draft.end:
            draft.ops.pop()
        if draft.headless:
            draft.ops.append(draft.ops[0])
        at_end = [name for index, name in draft.labels.values() if index == len(draft.ops)]
        if at_end:
            name = at_end[-1]
            self._findings.error(
                "label-at-end",
                name.span,
                f"the label {quote(name.text)} has no instruction behind it",
                hint="put 'ret' behind it",
            )
            draft.ops.append(name)

    def _read_op(self, line: Line, op: syntax.Op) -> None:
        name = op.tokens[0].text
        known = name in OPCODES
        if not known and line.whole and self._respell(line, op):
            self._read(line)
            return
        if known and self._draft is None:
            self._outside(op.tokens[0], f"the instruction {quote(name)}")
        draft = self._draft
        if draft is not None:
            draft.ops.append(op)
            if len(op.tokens) == 1 and not known:
                draft.doubtful.update(line.words())  # it may have been meant as a label
        elif not known and line.whole and not self._astray:
            self._findings.error(
                "unknown-directive",
                op.tokens[0].span,
                f"there is no directive {quote(name)}",
                expected="'func', 'global' or 'expect'",
            )
            self._astray = True
            self._ended = None

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
        self._findings.error(
            "unknown-directive",
            word.span,
            f"there is no directive {quote(name)}",
            hint=f"did you mean '{likely}'?",
        )
        line.tokens[0] = word._replace(text=likely)
        line.error = None
        line.whole = likely != "end"  # it may have been meant as another's
        syntax.read_statement(line)
        if len(line.tokens) == 1:
            line.error = None  # that the rest is missing says nothing if it was not meant
        return True

    def _outside(self, token: Token, what: str) -> None:
        """Something that belongs into a function stands outside of all."""
        draft, self._ended = self._ended, None
        hint = "start a function with 'func NAME(PARAMETERS) -> TYPE' before it"
        notes = []
        if draft is not None and draft.end is not None:
            function = quote(draft.name.text)
            notes = [Note(f"{function} ends here", draft.end.span)]
            hint = f"remove that 'end' if this belongs to {function}; if not, {hint}"
        if not self._astray:
            self._findings.error(
                "outside-function",
                token.span,
                f"{what} is outside of any function",
                hint=hint,
                notes=notes,
            )
            if draft is None:
                draft = Draft(token, ops=[token], well_formed=False, headless=True)
                draft.doubtful.add(ANY_NAME)
                draft.end_missing = True
                self.drafts.append(draft)
        self._astray = True
        self._draft = draft

    def _read_label(self, label: syntax.Label) -> None:
        name = label.name
        if self._draft is None:
            self._outside(name, f"the label {quote(name.text)}")
        draft = self._draft
        if draft is None:
            return
        if name.text in draft.labels:
            self._duplicate("duplicate-label", "label", name, draft.labels[name.text][1])
            draft.doubtful.add(name.text)
        else:
            draft.labels[name.text] = (len(draft.ops), name)
        if label.op is not None:
            first = label.op.tokens[0]
            draft.ops.append(label.op if first.text in OPCODES else first)

    def _read_end(self, line: Line) -> None:
        draft = self._draft
        if draft is not None:
            draft.end = line.tokens[0]
            if line.whole:
                self._draft = None
                self._ended = draft if draft.goes_on else None
                self._astray = False
            else:
                # It may not have been meant as one: lines may follow.
                draft.end_missing = True
                draft.ops.append(draft.end)
        elif not self._astray:
            self._findings.error(
                "stray-end",
                line.tokens[0].span,
                "this 'end' ends nothing",
                hint="remove it, or start a function with 'func' before it",
            )

    def _read_func(self, line: Line, func: syntax.Func) -> None:
        name = func.name or line.tokens[0]
        draft = self._draft = Draft(name, well_formed=line.whole)
        if func.name is None:
            self.doubtful.add(ANY_NAME)
        if not line.whole:
            self.doubtful.update(line.words())
            draft.doubtful.update(line.words())
        for declaration in func.params:
            self._declare(draft, declaration, "parameter")
            value = declaration.value
            if value is not None and name.text.lower() != "main":
                self._findings.error(
                    "default-outside-main",
                    value.span,
                    f"the parameters of {quote(name.text)} cannot have defaults",
                    hint="remove it: a call passes all arguments; defaults are for 'main' alone",
                )
        if func.result is not None:
            result = read_type(func.result, self._findings)
            draft.result = None if func.result.text in NO_TYPES else result
            if name.text == "main" and result is not UNKNOWN and not result.is_number:
                self._findings.error(
                    "main-result",
                    func.result.span,
                    f"'main' cannot return {a(result)}",
                    expected="int, float, or no result",
                    found=result,
                )
        if func.name is None:
            pass
        elif name.text in self.functions:
            first = self.drafts[self.functions[name.text]]
            self._duplicate("duplicate-function", "function", name, first.name)
            if draft.signature != first.signature:
                self.doubtful.add(name.text)
        else:
            self.functions[name.text] = len(self.drafts)
        self.drafts.append(draft)

    def _read_local(self, line: Line, declaration: Declaration) -> None:
        draft = self._draft
        if draft is None:
            self._ended = None
            self._outside(line.tokens[0], "this 'local'")
            draft = self._draft
        if draft is None:
            return
        self._declare(draft, declaration, "local")
        if not line.whole:
            draft.doubtful.update(line.words())
        if declaration.value is not None:
            self._findings.error(
                "local-value",
                declaration.value.span,
                "a local cannot be given a first value: it starts at zero, or empty",
                hint="use 'push' and 'store' to set it",
            )
        if (draft.ops or draft.labels) and not draft.headless:
            self._findings.error(
                "late-local",
                line.tokens[0].span,
                "locals are declared before the first instruction",
                hint=f"move this line up, below 'func {draft.name.text}'",
                notes=[Note("the function starts here", draft.name.span)],
            )

    def _declare(self, draft: Draft, declaration: Declaration, what: str) -> None:
        """A parameter or local becomes a slot."""
        name = declaration.name
        type_ = self._type(declaration)
        if name is None:
            draft.doubtful.add(ANY_NAME)
            return
        if name.text in draft.slots:
            first = draft.slots[name.text]
            kind: Kind = "duplicate-parameter" if what == "parameter" else "duplicate-local"
            declared_as = "parameter" if first.name.line == draft.name.line else "local"
            self._duplicate(kind, declared_as, name, first.name)
            if first.type is not type_:
                draft.doubtful.add(name.text)
        else:
            draft.slots[name.text] = Slot(len(draft.params) + len(draft.locals), name, type_)
        value = None
        if what == "parameter" and draft.name.text == "main":
            if type_ is not UNKNOWN and not type_.is_number:
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
        variables = draft.params if what == "parameter" else draft.locals
        variables.append(Variable(name.text, type_, value, name.span))

    def _read_global(self, line: Line, declaration: Declaration) -> None:
        name = declaration.name
        type_ = self._type(declaration)
        if not line.whole:
            self.doubtful.update(line.words())
        if name is None:
            self.doubtful.add(ANY_NAME)
            return
        value: Number | None = None
        if type_.is_number:
            value = 0 if type_ is Type.INT else 0.0
        if declaration.value is not None and line.whole:
            value = read_value(
                declaration.value, type_, quote(name.text), name.span, self._findings
            )
        if name.text in self.globals:
            first = self.globals[name.text]
            self._duplicate("duplicate-global", "global", name, first.name)
            if first.type is not type_:
                self.doubtful.add(name.text)
            return
        self.globals[name.text] = Slot(len(self.globals), name, type_)
        self.variables.append(Variable(name.text, type_, value, name.span))

    def _type(self, declaration: Declaration) -> Type:
        if declaration.type is None:
            return UNKNOWN
        return read_type(declaration.type, self._findings)

    def _duplicate(self, kind: Kind, what: str, name: Token, first: Token) -> None:
        self._findings.error(
            kind,
            name.span,
            f"there is already a {what} {quote(name.text)}",
            hint="give one of them another name",
            notes=[Note("the first is declared here", first.span)],
        )
