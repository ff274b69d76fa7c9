"""Kills the processes of a cluster with -9, in random order, in the middle of
their work, and starts them again."""

import heapq
import time

import cluster as mw

WORK_SECONDS = 90  # to wait at most for something that a kill would hit


def has_work(cluster, name):
    """Whether a kill now hits something: sessions run, and a worker holds
    leases that it was granted since it started."""
    if not cluster[name].is_ready() or cluster.sessions_running() == 0:
        return False
    if not name.startswith("worker"):
        return True
    granted = len(cluster[name].said(" I granted "))
    return granted > len(cluster[name].said(" I settled "))


def kill_each(cluster, rng, times, pause, back_after, look=lambda: None):
    """Each process so many `times`. The next may come before the last one is up
    again.

    pause: from and to how many seconds lie between two kills, at least.
    back_after: the same, until it is started again.
    look: called again and again meanwhile.
    """
    plan = [name for name in cluster.processes for _ in range(times)]
    rng.shuffle(plan)
    begin = time.monotonic()
    down = []  # (when to start again, name)
    for name in plan:
        due_at = time.monotonic() + rng.uniform(*pause)
        back_in = rng.uniform(*back_after)

        def due():
            now = time.monotonic()
            while down and down[0][0] <= now:
                cluster[heapq.heappop(down)[1]].start()
            cluster.look_after(down={dead for _, dead in down})
            look()
            return now >= due_at and has_work(cluster, name)

        mw.wait_until(due, WORK_SECONDS, f"work under way to kill {name} in")
        cluster[name].kill()
        print(f"{time.monotonic() - begin:6.1f} s  killed {name}, back in "
              f"{back_in:.1f} s", flush=True)
        heapq.heappush(down, (time.monotonic() + back_in, name))
    for when, name in sorted(down):
        time.sleep(max(0, when - time.monotonic()))
        cluster[name].start()
