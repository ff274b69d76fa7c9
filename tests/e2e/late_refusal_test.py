#!/usr/bin/env python3
"""A cap is raised and the account resumed while sessions that met it are still
being settled: what they say of it is old, and does not shut the account again.

  late_refusal_test.py MIDWATCH
"""

import sys

import cluster as mw
import spend_cap


def main():
    with mw.scratch_folder("late-refusal") as folder:
        cluster = spend_cap.make_cluster(sys.argv[1], folder)
        try:
            batch_id, prompts = spend_cap.run_into_the_cap(cluster, folder)
            spend_cap.go_on(cluster, batch_id, prompts)
        finally:
            cluster.stop_all()
    print("late_refusal_test: what is old shuts no account", flush=True)


if __name__ == "__main__":
    main()
