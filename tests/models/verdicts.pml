/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept verdicts and the epoch of intentions: store/decide.c, store/cache/verdicts.c and the epoch in entry.c.
 *
 * Intentions change, and the agent decides by them a little later. A watch sees a change, is lost, and begins anew.
 * Two handshakes at a time ask, keep what they hear, and use what is kept. No kept yes is older than a change that
 * the agent had told the watch before the handshake began. No last-known yes is older than a change that any watch
 * has told. A yes never takes the place of a no to a later question.
 *
 * Each of these faults has to be found:
 * faults: EPOCH_AFTER_THE_QUESTION NO_SETTLING SAME_EPOCH_AFTER_A_LOSS LATE_YES NO_DATED_BY_ITS_QUESTION
 * faults: LAST_KNOWN_BY_THE_MOMENT_OF_ITS_ANSWER
 */
#define FLIPS 2
#define ROUNDS 2
#define YES(policy) ((policy) % 2 == 0)

byte version;             /* of the intentions; the policy is yes where it is even */
byte decides_by;          /* the version of the agent's decisions */
byte told;                /* the version that a watch has seen: the entry's index */
bool is_vouched_for;      /* the entry is fresh */
byte epoch, epoch_version;
byte changed;             /* the version of the last change that a watch has seen, or 0: the entry's `changed` */

byte clock;               /* the order of questions and of refusals */
bool kept, kept_yes;
byte kept_epoch, kept_asked, kept_version, kept_since;

proctype intentions()
{
    do
    :: version < FLIPS -> version++
    :: decides_by < version -> decides_by++
    :: version == FLIPS && decides_by == FLIPS -> break
    od
}

/* last_verdict, at any moment: a yes counts that was asked for when the agent decided by the last change. */
inline lose_the_agent()
{
    assert(!(kept && kept_yes && kept_since == changed) || kept_version >= changed)
}

proctype watch()
{
    byte seen = 255, losses; /* the index of the query */
    bool is_news;

    do
    :: atomic { /* an answer: consul_entry_keep_epoch */
        seen != version || !is_vouched_for ->
        is_news = seen != version;
        seen = version;
        if
        :: told != version -> changed = version
        :: else
        fi;
        told = version;
        if
#ifdef SAME_EPOCH_AFTER_A_LOSS
        :: epoch == 0 || (is_news && is_vouched_for) ->
#else
        :: is_news || !is_vouched_for ->
#endif
            epoch++;
            epoch_version = version
        :: else
        fi;
        is_vouched_for = true;
        lose_the_agent()
    }
    :: atomic { /* a loss of the query, or another watch of this entry */
        is_vouched_for && losses < 1 ->
        losses++;
        is_vouched_for = false;
        seen = 255
    }
    :: version == FLIPS && seen == FLIPS && is_vouched_for -> break
    od
}

/* consul_entry_epoch: it counts when the agent decides by what the watch saw. */
inline read_epoch()
{
    e = 0;
    if
#ifdef NO_SETTLING
    :: is_vouched_for -> e = epoch
#else
    :: is_vouched_for && decides_by >= epoch_version -> e = epoch
#endif
    :: else
    fi
}

proctype handshake()
{
    byte rounds, e, told_before, asked, by, since;

    do
    :: atomic { rounds < ROUNDS ->
        rounds++;
        read_epoch();
        told_before = (e != 0 -> told : 0);
        if
        :: e != 0 && kept && kept_yes && kept_epoch == e -> assert(kept_version >= told_before)
        :: else ->
            clock++;
            asked = clock;
            since = (decides_by >= changed -> changed : 0);
            goto asks
        fi
    }
    :: else -> break
    :: false ->
asks: /* consul_single_flight */
        by = decides_by; /* the agent answers */
        atomic { /* consul_verdicts_note */
#ifdef EPOCH_AFTER_THE_QUESTION
            read_epoch();
#endif
#ifdef LAST_KNOWN_BY_THE_MOMENT_OF_ITS_ANSWER
            since = (decides_by >= changed -> changed : 0);
#endif
            if
#ifndef NO_DATED_BY_ITS_QUESTION
            :: !YES(by) -> clock++; asked = clock
#endif
            :: else
            fi;
            if
#ifndef LATE_YES
            :: YES(by) && kept && kept_asked >= asked
#endif
            :: else ->
                assert(!YES(by) || !kept || kept_yes || by >= kept_version);
                kept = true;
                kept_yes = YES(by);
                kept_epoch = e;
                kept_asked = asked;
                kept_version = by;
                kept_since = since
            fi;
            lose_the_agent();
            by = 0;
            asked = 0;
            since = 0;
            told_before = 0;
            e = 0
        }
    od
}

init
{
    atomic {
        run intentions();
        run watch();
        run handshake();
        run handshake()
    }
}
