#!/bin/sh
# Starts a sleep that goes on when this script has ended, in a session of its own, which has no terminal.
setsid sleep 60 </dev/null >log 2>&1 &
