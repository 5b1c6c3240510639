#!/bin/sh
# The keeper of a job: holds a lock while it lives, and writes down how the job ends. The job dies with it, and does not
# have the lock open.
exec 9>lock
flock 9
setpriv --pdeathsig KILL sh -c "$JOB" 9>&- &
wait $!
echo $? >status
