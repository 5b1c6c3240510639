#!/bin/sh
# Starts a sleep that goes on when this script has ended. But it is still in our session, and holds on to our terminal.
sleep 60 &
