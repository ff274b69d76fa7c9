#!/usr/bin/env python3
"""A spend cap that sessions under way meet too, in the middle of a model
request: the first that is heard of it says nothing of when it ends. A refusal
that does say so, later, is what the account shows; nothing fails, and all goes
on once the cap is raised.

  spend_cap_test.py MIDWATCH
"""

import sys

import cluster as mw
import spend_cap


def run(cluster, folder):
    batch_id, prompts = spend_cap.run_into_the_cap(cluster, folder)
    mw.wait_until(lambda: cluster.batch(batch_id)["counts"]["running"] == 0,
                  60, "all to meet the cap")
    # Its probe is a create, which is refused with the code of a monthly cap.
    cluster.midwatch("account", "resume", "default")
    mw.wait_until(lambda: spend_cap.account(cluster)["until"], 30,
                  "the date that the refused probe named")
    spend_cap.go_on(cluster, batch_id, prompts)
    print("spend_cap_test: the cap's date is shown once it is known",
          flush=True)


def main():
    with mw.scratch_folder("spend-cap") as folder:
        cluster = spend_cap.make_cluster(sys.argv[1], folder)
        try:
            run(cluster, folder)
        finally:
            cluster.stop_all()


if __name__ == "__main__":
    main()
