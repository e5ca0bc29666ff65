/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three locks of a process, and the life of its watch's thread: store/watch/process.c, thread.c and watch.c.
 *
 * Handshakes reap an ended thread and start another. A fork, a close and the exit come at any step. No process may
 * wait for ever. No thread is joined twice, and nobody uses its state after the free.
 *
 * Each of these faults has to be found:
 * faults: FORK_TAKES_LIVE_FIRST ENDED_BEFORE_ITS_LAST_LOCK STOP_KEEPS_THE_POINTER FREED_WITHOUT_STOP NOT_CLOSED_FIRST
 * faults: WORK_WITHOUT_LOCK
 */
#define THREADS 3 /* starts in one run */
#define NONE THREADS

bool stop_lock, work_lock, live_lock;
byte current = NONE; /* watch->thread */
byte started;
bool closed, exiting, listed = true, freed_watch, working;
byte users = 2; /* handshakes */
bool stop[THREADS], ended[THREADS], gone[THREADS], joined[THREADS], freed[THREADS], woken[THREADS];

#define TAKE(lock) atomic { !lock -> lock = true }
#define LEAVE(lock) lock = false

inline join(t)
{
    assert(!joined[t]);
    joined[t] = true;
    gone[t]
}

inline dispose(t)
{
    assert(gone[t] && !freed[t]);
    freed[t] = true
}

/* consul_thread_start, with the live lock. */
inline start()
{
    if
    :: !closed && !exiting && started < THREADS ->
        current = started;
        started++;
        run watch_thread(current)
    :: else
    fi
}

/* consul_thread_reap, with the live lock. */
inline reap()
{
    if
    :: current != NONE && ended[current] ->
        join(current);
        dispose(current);
        current = NONE
    :: else
    fi
}

/* consul_thread_stop, with the stop lock. */
inline stop_thread(t)
{
    TAKE(live_lock);
    t = current;
    if
    :: t != NONE ->
        stop[t] = true;
#ifndef STOP_KEEPS_THE_POINTER
        current = NONE;
#endif
        assert(!freed[t]);
        woken[t] = true
    :: else
    fi;
    LEAVE(live_lock);
    if
    :: t != NONE ->
        join(t);
        TAKE(live_lock);
        dispose(t);
        LEAVE(live_lock)
    :: else
    fi
}

proctype watch_thread(byte me)
{
#ifndef WORK_WITHOUT_LOCK
    TAKE(work_lock);
#endif
    do
    ::  assert(!freed[me] && !freed_watch);
        TAKE(live_lock);
        if
        :: stop[me] -> LEAVE(live_lock); break
        :: true -> LEAVE(live_lock); break /* idle, a crowd, or a failure */
        :: !stop[me] -> LEAVE(live_lock)
        fi;
        working = true; /* libcurl is in the middle of its work */
        working = false;
#ifndef WORK_WITHOUT_LOCK
        LEAVE(work_lock);
#endif
        if
        :: woken[me] -> woken[me] = false
        :: true /* an answer, or the time */
        fi;
#ifndef WORK_WITHOUT_LOCK
        TAKE(work_lock)
#endif
    od;
#ifdef ENDED_BEFORE_ITS_LAST_LOCK
    ended[me] = true;
#endif
    TAKE(live_lock);
    assert(!freed[me] && !freed_watch);
    ended[me] = true;
    LEAVE(live_lock);
#ifndef WORK_WITHOUT_LOCK
    LEAVE(work_lock);
#endif
    gone[me] = true
}

proctype handshake()
{
    byte times;

    do
    :: times < 2 && !closed ->
        times++;
        TAKE(live_lock);
        assert(!freed_watch);
        reap();
        if
        :: current == NONE -> start()
        :: current != NONE -> assert(!freed[current]); woken[current] = true /* a failure wakes it */
        fi;
        LEAVE(live_lock)
    :: else -> break
    od;
    users--
}

proctype fork_of_the_host()
{
    TAKE(stop_lock);
#ifdef FORK_TAKES_LIVE_FIRST
    TAKE(live_lock);
    TAKE(work_lock);
#else
    TAKE(work_lock);
    TAKE(live_lock);
#endif
    /* The child has no other thread. All that it gets is whole. */
    assert(!working);
    assert(current == NONE || !freed[current]);
    LEAVE(live_lock);
    LEAVE(work_lock);
    LEAVE(stop_lock)
}

/* consul_watch_free, when all handshakes of the store are over. */
proctype free_of_the_store()
{
    byte t;

#ifndef NOT_CLOSED_FIRST
    users == 0;
#endif
    TAKE(live_lock);
#ifndef NOT_CLOSED_FIRST
    closed = true;
#endif
    LEAVE(live_lock);
#ifndef FREED_WITHOUT_STOP
    TAKE(stop_lock);
    stop_thread(t);
    LEAVE(stop_lock);
#endif
    TAKE(live_lock);
    listed = false;
    LEAVE(live_lock);
    freed_watch = true
}

/* stop_all: it looks for a watch with a thread, until no watch has one. */
proctype exit_of_the_host()
{
    bool found;
    byte t;

    TAKE(stop_lock);
    do
    ::  TAKE(live_lock);
        exiting = true;
        found = listed && current != NONE;
        LEAVE(live_lock);
        if
        :: !found -> break
        :: else ->
            assert(!freed_watch);
            stop_thread(t)
        fi
    od;
    LEAVE(stop_lock)
}

init
{
    atomic {
        run handshake();
        run handshake();
        run fork_of_the_host();
        run free_of_the_store();
        run exit_of_the_host()
    }
}
