"""A program on a native engine as an executable of its own: the very object code that runs here,
and a C `main` that lays out the same memory for it.

Every region lies at the start of a page, as it does here, and what is an address here becomes the
address of the same word or handler there. The program runs on a deep stack, as it does here, but on
no thread of its own: what threads execute to wait for each other is not the same in every process.
"""

from vmlab.engines import Standalone
from vmlab.isa import INT_MIN, Type
from vmlab.kernels.context import FIELDS, INDEX
from vmlab.kernels.dispatch import TABLE
from vmlab.kernels.executable import STACK_RESERVE, number
from vmlab.outcome import Outcome
from vmlab.stack import DEEP_BYTES

_SOURCE = """\
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

int64_t enter(int64_t *context, int64_t runs);

static int64_t context[] = {%(context)s};
%(contents)s
static int64_t *reserve(size_t bytes) {
    void *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return words;
}

static int64_t runs, code;

static void run(void) {
    code = enter(context, runs);
}

int main(int argc, char **argv) {
    runs = argc == 2 ? strtoll(argv[1], NULL, 10) : 1;
%(memory)s
    int64_t *stack_end = reserve(%(stack_bytes)d);
    context[%(native_limit)d] = (int64_t)stack_end + %(stack_kept)d;
    ucontext_t here, deep;
    if (getcontext(&deep)) {
        perror("getcontext");
        return 1;
    }
    deep.uc_stack.ss_sp = stack_end;
    deep.uc_stack.ss_size = %(stack_bytes)d;
    deep.uc_link = &here;
    makecontext(&deep, run, 0);
    if (swapcontext(&here, &deep)) {
        perror("swapcontext");
        return 1;
    }
    const int64_t *pairs = (const int64_t *)context[%(output)d];
    int64_t used = context[%(output_used)d];
    printf("%%" PRId64 " %%" PRId64 " %%" PRId64, code, context[%(result)d], used);
    for (int64_t i = 0; i < 2 * used; i++)
        printf(" %%" PRId64, pairs[i]);
    putchar('\\n');
    return 0;
}
"""


# Fields of the context that are addresses in a region of another name.
_INTO = {
    "entry": "code",
    "frame_limit": "frames",
    "segments_end": "segments",
    "stack_end": "stack",
}


def standalone(executable, object_code: bytes) -> Standalone:
    """The executable with the arguments and limits of its last call, which has laid them out."""
    memory = executable.memory()
    variables = {name: f"region{index}" for index, name in enumerate(memory)}

    def there(address: int, name: str) -> str:
        return f"(int64_t){variables[name]} + {address - memory[name].region.address}"

    contents, lines = [], []
    for name, (region, filled, _, handlers) in memory.items():
        variable = variables[name]
        lines.append(f"int64_t *{variable} = reserve({region.size});")
        if filled:
            words = _constants(region.words.tolist())
            contents.append(f"static const int64_t {variable}_words[] = {{{words}}};\n")
            lines.append(f"memcpy({variable}, {variable}_words, sizeof {variable}_words);")
        if handlers:
            contents.append(f"extern const int64_t {TABLE}[];\n")
        lines += [f"{variable}[{at}] = {TABLE}[{opcode}];" for at, opcode in handlers.items()]
    for name, (region, _, addresses, _) in memory.items():
        for index, word in enumerate(region.words.tolist() if addresses else ()):
            # The region has a word even where there is no slot.
            if word:
                lines.append(f"{variables[name]}[{index}] = {there(word, addresses)};")
    # Behind these fields come those that running code writes.
    fixed = FIELDS[: INDEX["heap_used"]]
    values = [getattr(executable.state.context, field) for field in fixed]
    for index, (field, value) in enumerate(zip(fixed, values, strict=True)):
        if (name := _INTO.get(field, field)) in memory:
            lines.append(f"context[{index}] = {there(value, name)};")
    source = _SOURCE % {
        "context": _constants(values + [0] * (len(FIELDS) - len(fixed))),
        "contents": "".join(contents),
        "memory": "\n".join(f"    {line}" for line in lines),
        "stack_bytes": DEEP_BYTES,
        "stack_kept": STACK_RESERVE + executable.state.machine_stack,
        **{name: INDEX[name] for name in ("native_limit", "output", "output_used", "result")},
    }
    return Standalone(object_code, source, lambda text: _read(text, executable.program))


def _constants(words) -> str:
    # The minimum has no literal in C: its digits alone do not fit.
    return ", ".join(f"INT64_C({word})" if word != INT_MIN else "INT64_MIN" for word in words)


def _read(text: str, program) -> Outcome:
    """What the executable has printed. Raises ValueError where that is something else, or where
    the program has trapped."""
    code, result, used, *pairs = map(int, text.split())
    if code:
        raise ValueError(f"it trapped with the code {code}")
    if len(pairs) != 2 * used:
        raise ValueError(f"it printed {len(pairs)} words for {used} values")
    output = tuple(
        number(bits, Type.FLOAT if kind else Type.INT)
        for kind, bits in zip(pairs[::2], pairs[1::2], strict=True)
    )
    type_ = program.main.result
    return Outcome(number(result, type_) if type_ else None, output, None, None)
