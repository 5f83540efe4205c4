"""Channels: their layout in memory, and what instructions do with them."""

from abc import abstractmethod

from llvmlite import ir

from vmlab.isa import CHANNEL_HEADER_WORDS, Trap
from vmlab.kernels.queues import Queues
from vmlab.kernels.values import I64, from_word, i64, to_word

# A channel, before the values that it can hold. Channel 0 is all zeros, a closed one.
(
    OPEN,
    CAPACITY,
    COUNT,  # of the values that it holds
    FIRST,  # the place of the oldest
    RECEIVERS,  # who waits
    SENDERS,
    MADE,  # the place of the `chan`
    NUMBER,
) = range(CHANNEL_HEADER_WORDS)


class Channels(Queues):
    """What is emitted for tasks and channels."""

    @abstractmethod
    def sent_by(self, task: ir.Value) -> ir.Value:
        """The word that a task would send, which waits for that."""

    def channel_new(self, capacity):
        b = self.b
        self.trap_if(b.icmp_signed("<", capacity, i64(0)), Trap.NEGATIVE_LENGTH)
        self.charge(capacity, CHANNEL_HEADER_WORDS)
        words = b.add(capacity, i64(CHANNEL_HEADER_WORDS))
        channel = self.pointer("fresh_channel")
        self.put("fresh_channel", self.address_of(b.gep(channel, [words], inbounds=True)))
        self.add_to("channels_made", i64(1))
        header = {
            OPEN: i64(1),
            CAPACITY: capacity,
            COUNT: i64(0),
            FIRST: i64(0),
            RECEIVERS: i64(0),
            SENDERS: i64(0),
            MADE: self.place(),
            NUMBER: self.get("channels_made"),
        }
        for place, word in header.items():
            self.write(channel, place, word, "channel")
        return b.lshr(b.sub(self.address_of(channel), self.get("channels")), i64(3))

    def _value_place(self, channel, index):
        """Where a channel keeps a value; `index` goes around once at most."""
        b = self.b
        capacity = self.read(channel, CAPACITY, "channel")
        around = b.select(b.icmp_unsigned(">=", index, capacity), capacity, i64(0))
        values = self.word(channel, CHANNEL_HEADER_WORDS)
        return b.gep(values, [b.sub(index, around)], inbounds=True)

    def channel_send(self, handle, value, type_):
        b = self.b
        channel, word = self.within("channels", handle), to_word(b, value)
        closed = b.icmp_unsigned("==", self.read(channel, OPEN, "channel"), i64(0))
        self.trap_if(closed, Trap.SEND_ON_CLOSED)
        receivers = self.word(channel, RECEIVERS)
        last = self.load(receivers, "channel")
        deliver, keep, room, full, done = (
            b.append_basic_block(name) for name in ("deliver", "keep", "room", "full", "sent")
        )
        b.cbranch(b.icmp_unsigned("!=", last, i64(0)), deliver, keep)
        b.position_at_end(deliver)
        self._hand_to(self.dequeue(last, receivers, "channel"), word, 1, type_)
        b.branch(done)
        b.position_at_end(keep)
        count, capacity = (self.read(channel, place, "channel") for place in (COUNT, CAPACITY))
        b.cbranch(b.icmp_unsigned("<", count, capacity), room, full)
        b.position_at_end(room)
        first = self.read(channel, FIRST, "channel")
        self.store(word, self._value_place(channel, b.add(first, count)), "channel")
        self.write(channel, COUNT, b.add(count, i64(1)), "channel")
        b.branch(done)
        b.position_at_end(full)
        self.wait(self.word(channel, SENDERS), "channel", handle, word)
        b.position_at_end(done)

    def channel_receive(self, handle, type_):
        b = self.b
        channel = self.within("channels", handle)
        take, none, refill, less, hand, over, closed, wait, done = (
            b.append_basic_block(name)
            for name in (
                *("take", "none", "refill", "less", "hand", "over", "closed", "wait", "received"),
            )
        )
        count = self.read(channel, COUNT, "channel")
        senders = self.word(channel, SENDERS)
        last = self.load(senders, "channel")
        waiting = b.icmp_unsigned("!=", last, i64(0))
        b.cbranch(b.icmp_unsigned("!=", count, i64(0)), take, none)

        b.position_at_end(take)
        first = self.read(channel, FIRST, "channel")
        place = self.b.gep(channel, [b.add(first, i64(CHANNEL_HEADER_WORDS))], inbounds=True)
        oldest = self.load(place, "channel")
        following = b.add(first, i64(1))
        at_end = b.icmp_unsigned("==", following, self.read(channel, CAPACITY, "channel"))
        self.write(channel, FIRST, b.select(at_end, i64(0), following), "channel")
        b.cbranch(waiting, refill, less)
        b.position_at_end(refill)
        # It was full: the place that is free now is the one behind the youngest.
        self.store(self._sent(last, senders), place, "channel")
        from_refill = b.block
        b.branch(done)
        b.position_at_end(less)
        self.write(channel, COUNT, b.sub(count, i64(1)), "channel")
        b.branch(done)

        b.position_at_end(none)
        b.cbranch(waiting, hand, over)
        b.position_at_end(hand)
        handed = self._sent(last, senders)
        from_hand = b.block
        b.branch(done)
        b.position_at_end(over)
        is_open = b.icmp_unsigned("!=", self.read(channel, OPEN, "channel"), i64(0))
        b.cbranch(is_open, wait, closed)
        b.position_at_end(wait)
        self.wait(self.word(channel, RECEIVERS), "channel", handle)
        b.position_at_end(closed)
        b.branch(done)

        b.position_at_end(done)
        word, received = b.phi(I64), b.phi(I64)
        ways = [(from_refill, oldest, 1), (less, oldest, 1), (from_hand, handed, 1)]
        for block, value, flag in [*ways, (closed, i64(0), 0)]:
            word.add_incoming(value, block)
            received.add_incoming(i64(flag), block)
        return from_word(b, word, type_), received

    def _sent(self, last, senders):
        """What the first that waits to send has sent; it goes on."""
        task = self.dequeue(last, senders, "channel")
        word = self.sent_by(task)
        self.get_ready(task)
        return word

    def channel_close(self, handle, type_):
        b = self.b
        channel = self.within("channels", handle)
        closed = b.icmp_unsigned("==", self.read(channel, OPEN, "channel"), i64(0))
        waiting = b.icmp_unsigned("!=", self.read(channel, SENDERS, "channel"), i64(0))
        self.trap_if(b.or_(closed, waiting), Trap.SEND_ON_CLOSED)
        self.write(channel, OPEN, i64(0), "channel")
        last = self.read(channel, RECEIVERS, "channel")
        self.write(channel, RECEIVERS, i64(0), "channel")
        with self.each_waiting(last) as task:
            self._hand_to(task, i64(0), 0, type_)

    def _hand_to(self, task, word, received, type_):
        """A task that waits to receive gets these, and goes on."""
        value = self.values.wrap(self, from_word(self.b, word, type_), type_)
        self.push_to(task, value, self.values.wrap(self, i64(received), "int"))
        self.get_ready(task)
