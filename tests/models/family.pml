/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The word of a family's watcher: store/cache/watcher.c and vouching.c, and keep_intentions in store/watch/keep.c.
 *
 * Intentions change. One watcher tells the family their epoch, another takes its place, and each may be killed between
 * any two stores. A sibling reads the epoch without a lock, asks, keeps the agent's yes, and uses it later. It uses none
 * from before a change for which a watcher had ended the old epoch before the sibling began to read. It believes no watcher that
 * was dead by then.
 *
 * Each of these faults has to be found:
 * faults: THE_DEAD_ARE_BELIEVED ANY_WATCHER_IS_BELIEVED TURN_IS_NOT_READ NO_ODD_TURN NEWS_BEFORE_THE_OLD_EPOCH_ENDS
 * faults: EPOCHS_OF_EACH_WATCHER
 */
#define CHANGES 1
#define WATCHERS 2

byte version;                  /* of the intentions, by which the agent decides */
byte told;                     /* the last version that a watcher has begun to tell */
bool dead[WATCHERS + 1];
byte word;                     /* the number of the watcher; it stays after its death */

byte turn, voucher, epoch, began; /* of the place; `began` stands for all that belongs to an epoch */
bool is_fresh;
byte last_epoch;

proctype intentions()
{
    do
    :: version < CHANGES -> version++
    :: version == CHANGES -> break
    od
}

proctype killer(byte watcher)
{
    dead[watcher] = true
}

/* write_vouching */
inline vouch(by, fresh, number)
{
#ifndef NO_ODD_TURN
    atomic { turn = turn + 1 + turn % 2; turn = turn - (1 - turn % 2) };
#endif
    voucher = by;
    is_fresh = fresh;
    epoch = number;
    began = number;
    turn = turn + 1 + (1 - turn % 2)
}

proctype watcher(byte self)
{
    byte seen = 255, own_epoch;

    {
        if
        :: atomic { word == 0 || dead[word] -> word = self } /* consul_watcher_claim */
        :: told == CHANGES -> goto over
        fi;
        vouch(0, false, 0);
        do
        :: seen != version ->
            seen = version;
#ifndef NEWS_BEFORE_THE_OLD_EPOCH_ENDS
            vouch(self, false, own_epoch);
#endif
            told = seen;
            atomic {
#ifdef EPOCHS_OF_EACH_WATCHER
                own_epoch++
#else
                last_epoch++;
                own_epoch = last_epoch
#endif
            };
            vouch(self, true, own_epoch)
        :: version == CHANGES && seen == CHANGES -> break
        od
    } unless { dead[self] };
over:
    skip
}

/* consul_family_vouches: 0 without a word that counts. */
inline read(result)
{
    first = turn;
    by = voucher;
    fresh = is_fresh;
    result = epoch;
    half = began;
    if
#ifdef TURN_IS_NOT_READ
    :: !fresh || by == 0 -> result = 0
#else
    :: first % 2 == 1 || !fresh || by == 0 || turn != first -> result = 0
#endif
    :: else
    fi;
    if
#ifdef THE_DEAD_ARE_BELIEVED
    :: word != by -> result = 0
#elif defined(ANY_WATCHER_IS_BELIEVED)
    :: word == 0 || dead[word] -> result = 0
#else
    :: word != by || dead[word] -> result = 0
#endif
    :: else
    fi
}

proctype sibling()
{
    byte first, by, half, now, kept_epoch, kept_version, told_before, uses;
    bool fresh;
    bool was_dead[WATCHERS + 1];

    do
    :: uses < 2 ->
        uses++;
        atomic {
            told_before = told;
            was_dead[1] = dead[1];
            was_dead[2] = dead[2]
        };
        read(now);
        if
        :: now != 0 ->
            assert(half == now && !was_dead[by]);
            if
            :: now == kept_epoch -> assert(kept_version >= told_before)
            :: else ->
                atomic { kept_epoch = now; kept_version = version }
            fi
        :: else
        fi
    :: break
    od
}

init {
    atomic {
        run intentions();
        run watcher(1);
        run watcher(2);
        run killer(1);
        run sibling()
    }
}
