"""Valid programs with tasks, for hypothesis, whose result does not depend on the order in which
tasks run: fans of tasks, and pipelines, whose values are added up.

A function gets a number and a channel. It computes, spawns functions further down, joins some of
them, drains pipelines of its own, and sends; how many values it and those below it send is known
here. What it has found, it adds up. `main` receives all values, then joins all tasks.
"""

from __future__ import annotations

from hypothesis import strategies as st

# What a producer does with its number for each value.
STEPS = ["push 3\nmul", "push 7\nadd", "push 5\nxor", "dup\npush 11\nushr\nxor", "not"]


class Fan:
    """Writes one program; `draw` is hypothesis's."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.functions: list[str] = []
        self.sends: list[int] = []  # of a function and those below it
        self.tasks: list[int] = []  # as many it launches, and itself
        self.labels = 0

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def step(self) -> str:
        return self.draw(st.sampled_from(STEPS))

    def label(self) -> str:
        self.labels += 1
        return f"l{self.labels}"

    def program(self) -> str:
        producers = self.number(1, 2)
        for index in range(producers):
            self._producer(index)
        for index in range(self.number(1, 4)):
            self._function(index, producers)
        roots = [self._pick(800) for _ in range(self.number(1, 4))]
        return "\n".join([*self.functions, self._main(roots)])

    def _pick(self, most: int) -> int:
        """A function that launches not too many."""
        fit = [f for f, tasks in enumerate(self.tasks) if tasks <= most]
        return self.draw(st.sampled_from(fit))

    def _repeat(self, times: int, code: str) -> str:
        again, over = self.label(), self.label()
        return (
            f"push {times}\nstore k\n{again}:\nload k\njz {over}\n{code}\nload k\npush 1\nsub\n"
            f"store k\njmp {again}\n{over}:"
        )

    def _add(self) -> str:
        return "load sum\nadd\nstore sum"

    def _producer(self, index: int) -> None:
        """Sends numbers, then closes."""
        pause = "yield" if self.number(0, 1) else ""
        body = f"load n\n{self.step()}\nstore n\nload c\nload n\nsend\n{pause}"
        self.functions.append(
            f"func p{index}(n: int, c: chan[int])\nlocal k: int\n"
            f"{self._repeat(self.number(0, 20), body)}\nload c\nclose\nret\nend"
        )

    def _function(self, index: int, producers: int) -> None:
        parts, sends, tasks = [], 0, 1
        waiting = 0  # tasks on the operand stack
        for _ in range(self.number(1, 6)):
            match self.number(0, 6):
                case 0:
                    body = f"load n\n{self.step()}\nstore n"
                    parts.append(self._repeat(self.number(0, 50), body))
                case 1:
                    parts.append("yield")
                case 2:
                    parts.append("load c\nload n\nsend")
                    sends += 1
                case 3 | 4 if self.tasks and tasks < 200:
                    below = self._pick(200)
                    parts.append(f"load n\npush {self.number(0, 9)}\nadd\nload c\nspawn f{below}")
                    waiting += 1
                    sends += self.sends[below]
                    tasks += self.tasks[below]
                case 5 if waiting:
                    parts.append(f"join\n{self._add()}")
                    waiting -= 1
                case 6:
                    again, over = self.label(), self.label()
                    parts.append(
                        f"push {self.number(0, 3)}\nchan int\nstore d\nload n\nload d\n"
                        f"spawn p{self.number(0, producers - 1)}\npop\n"
                        f"{again}:\nload d\nrecv\njz {over}\n{self._add()}\njmp {again}\n"
                        f"{over}:\npop"
                    )
                    tasks += 1
        parts += [f"join\n{self._add()}"] * waiting
        code = "\n".join(parts)
        self.functions.append(
            f"func f{index}(n: int, c: chan[int]) -> int\nlocal k: int\nlocal sum: int\n"
            f"local d: chan[int]\n{code}\nload n\n{self._add()}\nload sum\nret\nend"
        )
        self.sends.append(sends)
        self.tasks.append(tasks)

    def _main(self, roots: list[int]) -> str:
        launch = "\n".join(
            f"push {self.number(-(2**63), 2**63 - 1)}\nload c\nspawn f{root}" for root in roots
        )
        received = sum(self.sends[root] for root in roots)
        take = f"load c\nrecv\npop\n{self._add()}"
        join = "\n".join([f"join\n{self._add()}"] * len(roots))
        return (
            "func main() -> int\nlocal c: chan[int]\nlocal k: int\nlocal sum: int\n"
            f"push {self.number(0, 4)}\nchan int\nstore c\n{launch}\n"
            f"{self._repeat(received, take)}\n{join}\nload sum\nret\nend\n"
        )


@st.composite
def fans(draw) -> str:
    return Fan(draw).program()
