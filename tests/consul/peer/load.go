// SPDX-License-Identifier: Apache-2.0
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	message    = 64  // bytes, of a request and of its answer
	warm       = 0.2 // of the time: done before it begins, and not counted
	threadsMax = 256 // as in tests/bench/load.c
	portsPause = time.Millisecond
)

// load has the common settings of all clients of one measurement.
type load struct {
	target
	keeps   bool // its connections
	threads int
	rate    float64 // of all of them, a second; 0 for as fast as they can
	began   time.Time
	until   time.Time
}

// client is one of them.
type client struct {
	*load
	number int
	kept   net.Conn
	took   []float64 // seconds, of each that went well
	failed int
}

func ask(connection net.Conn) error {
	var data [message]byte
	if _, err := connection.Write(data[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(connection, data[:])
	return err
}

// open waits where all ports are in TIME-WAIT.
func (t target) open() (net.Conn, error) {
	for {
		connection, err := t.dial()
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return connection, err
		}
		time.Sleep(portsPause)
	}
}

func (c *client) doOne() (err error) {
	if c.keeps && c.kept != nil {
		return ask(c.kept)
	}
	connection, err := c.open()
	if err != nil {
		return err
	}
	if c.keeps {
		c.kept = connection
	} else {
		defer connection.Close()
	}
	return ask(connection)
}

// waitForTurn waits until it is due, and gives the moment from which it counts. The clock of the runtime's own
// timers is too coarse for that.
func (c *client) waitForTurn(turn int) time.Time {
	if c.rate <= 0 {
		return time.Now()
	}
	due := c.began.Add(time.Duration(float64(turn*c.threads+c.number) / c.rate * float64(time.Second)))
	if left := time.Until(due); left > 0 {
		pause := syscall.NsecToTimespec(int64(left))
		syscall.Nanosleep(&pause, nil)
	}
	return due
}

func (c *client) run() {
	if c.rate > 0 {
		runtime.LockOSThread()
		unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	for turn := 0; ; turn++ {
		due := c.waitForTurn(turn)
		if !due.Before(c.until) {
			return
		}
		if c.doOne() == nil {
			c.took = append(c.took, time.Since(due).Seconds())
		} else {
			c.failed++
		}
	}
}

// runFor lets all clients do their work. It returns how often it went well, and the CPU seconds.
func (l *load) runFor(clients []*client, seconds float64) (count int, cpu float64) {
	var all sync.WaitGroup

	cpu = cpuUsed()
	l.began = time.Now()
	l.until = l.began.Add(time.Duration(seconds * float64(time.Second)))
	for _, c := range clients {
		c.took = c.took[:0]
		all.Add(1)
		go func(c *client) {
			defer all.Done()
			c.run()
		}(c)
	}
	all.Wait()
	for _, c := range clients {
		count += len(c.took)
	}
	return count, cpuUsed() - cpu
}

func measure(t target, keeps bool, threads int, seconds, rate float64) {
	if threads < 1 || threads > threadsMax {
		die("how many threads?")
	}
	l := &load{target: t, keeps: keeps, threads: threads, rate: rate}
	clients := make([]*client, threads)
	for i := range clients {
		clients[i] = &client{load: l, number: i}
	}
	before, _ := l.runFor(clients, seconds*warm)
	count, cpu := l.runFor(clients, seconds)
	elapsed := time.Since(l.began).Seconds()

	took, failed := make([]float64, 0, count+1), 0
	for _, c := range clients {
		took = append(took, c.took...)
		failed += c.failed
	}
	sort.Float64s(took)
	took = append(took, 0) // for none
	fmt.Printf("%d %d %d %.6f %.6f %.9f %.9f %.9f\n", count, before, failed, elapsed, cpu,
		took[count/2], took[count*9/10], took[count*99/100])
}

func cpuUsed() float64 {
	var used unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used))
	return time.Duration(used.Nano()).Seconds()
}

// hold opens connections one after the other, says when each of some was there, and keeps them.
func hold(t target, count int) {
	held := make([]net.Conn, 0, count)
	for i := 1; i <= count; i++ {
		connection, err := t.open()
		check(err)
		check(ask(connection))
		held = append(held, connection)
		if i == 1 || i == 10 || i == 100 || i == count {
			fmt.Printf("%d %.6f\n", i, now())
		}
	}
	fmt.Println("all")
	untilEndOfInput()
	runtime.KeepAlive(held)
}

func now() float64 {
	var t unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_MONOTONIC, &t))
	return time.Duration(t.Nano()).Seconds()
}
