#!/bin/sh
# The keeper of a job: holds a lock while it lives, and writes down how the job ends.
exec 9>lock
flock 9
sh -c "$JOB" &
wait $!
echo $? >status
