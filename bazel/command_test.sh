#!/bin/bash
# A test that is a command: passes if that exits with 0.
exec "$@"
