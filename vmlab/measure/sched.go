// The operations of `vmlab sched` in Go: sched OPERATION SAMPLES BATCH CAPACITY
// SETTLE (nanoseconds before each waking) prints a sample a line: nanoseconds an operation, as the mean of a batch.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var out = bufio.NewWriter(os.Stdout)

func number(place int) int {
	value, err := strconv.Atoi(os.Args[place])
	if err != nil {
		panic(err)
	}
	return value
}

// What two readings of the clock, one after the other, are apart: the median.
func clockCost() time.Duration {
	counts := map[time.Duration]int{}
	for range 2001 {
		since := time.Now()
		counts[time.Since(since)]++
	}
	below := 0
	for cost := time.Duration(0); ; cost++ {
		if below += counts[cost]; below > 1000 {
			return cost
		}
	}
}

// Frames of `down`, 128 bytes each, that do not fit into 2 KiB, but into 4.
const frames = 15

//go:noinline
func down(depth int) int {
	var room [12]int
	room[depth%12] = depth
	if depth == 0 {
		return room[0]
	}
	return down(depth-1) + room[depth%12]
}

func main() {
	samples, batch, capacity, settle := number(2), number(3), number(4), number(5)
	cost := clockCost()
	print := func(taken time.Duration, operations int) {
		fmt.Fprintf(out, "%.3f\n", float64(taken-cost)/float64(operations))
	}
	timed := func(operations int, body func()) {
		for range samples {
			since := time.Now()
			body()
			print(time.Since(since), operations)
		}
	}
	switch os.Args[1] {
	case "launch":
		var finished atomic.Int64
		timed(batch, func() {
			finished.Store(0)
			for range batch {
				go func() { finished.Add(1) }()
			}
			for finished.Load() < int64(batch) {
				runtime.Gosched()
			}
		})
	case "latency":
		taken := make([]time.Duration, samples)
		var all sync.WaitGroup
		for sample := range taken {
			place := &taken[sample]
			all.Add(1)
			since := time.Now()
			go func() {
				*place = time.Since(since)
				all.Done()
			}()
			all.Wait()
		}
		for _, each := range taken {
			print(each, 1)
		}
	case "yield":
		var stop atomic.Bool
		done := make(chan bool)
		go func() {
			for !stop.Load() {
				runtime.Gosched()
			}
			done <- true
		}()
		timed(2*batch, func() {
			for range batch {
				runtime.Gosched()
			}
		})
		stop.Store(true)
		<-done
	case "unbuffered":
		there, back := make(chan int), make(chan int)
		go func() {
			for value := range there {
				back <- value
			}
		}()
		timed(batch, func() {
			for value := range batch {
				there <- value
				<-back
			}
		})
	case "buffered":
		channel := make(chan int, capacity)
		done := make(chan bool)
		go func() {
			for range channel {
			}
			done <- true
		}()
		timed(batch, func() {
			for value := range batch {
				channel <- value
			}
		})
		close(channel)
		<-done
	case "wake":
		// The one that waits must be run by another P: this one is busy until it has been.
		channel := make(chan time.Time)
		taken := make([]atomic.Int64, samples)
		go func() {
			for sample := range taken {
				since := <-channel
				taken[sample].Store(int64(time.Since(since)))
			}
		}()
		for sample := range taken {
			for since := time.Now(); time.Since(since) < time.Duration(settle); {
			}
			channel <- time.Now()
			for taken[sample].Load() == 0 {
			}
			print(time.Duration(taken[sample].Load()), 1)
		}
	case "growth":
		// A goroutine begins with 2 KiB. The first call needs more, the second finds it there.
		debug.SetGCPercent(-1)
		done := make(chan time.Duration)
		for range samples {
			go func() {
				since := time.Now()
				down(frames)
				first := time.Since(since)
				since = time.Now()
				down(frames)
				done <- first - time.Since(since)
			}()
			print(cost+<-done, 1)
		}
	case "parked":
		channel := make(chan int)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range samples {
			go func() { <-channel }()
		}
		for range 10 {
			runtime.Gosched()
			time.Sleep(10 * time.Millisecond)
		}
		runtime.ReadMemStats(&after)
		fmt.Fprintf(out, "%.1f\n", float64(after.Sys-before.Sys)/float64(samples))
	}
	out.Flush()
}
