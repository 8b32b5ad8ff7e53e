"""Chaos, counted from the outside: the real parts, one thing done to them at random about once a second, and everything counted at the end.

    python -m bench.chaos --seed 1 --faults 100            one round on synthetic stages, some minutes
    python -m bench.chaos --stages real --faults 100       the same on the real stages
    python -m bench.chaos --seed 1 --plan                  what would be done, and when: a pure function of the seed

The modules, in the order of a round: :mod:`plan` (what is done, when, to whom), :mod:`stack` (the parts), :mod:`feed` (the requests),
:mod:`faults` (doing it), :mod:`watch` (who has ended, seen live), :mod:`count` (all topics, ClickHouse and the provider, against what was
submitted). What runs inside the workers: :mod:`worker`, :mod:`stages`, :mod:`store`; beside them :mod:`provider`.
"""
