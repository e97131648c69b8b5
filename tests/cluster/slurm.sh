#!/usr/bin/env bash
# The job scripts under a real Slurm: one node, this machine, started and ended here in a folder of its own, that listens
# on the loopback only. An array certifies while one of its tasks is told that time is up, one is killed and one is
# preempted; the merged log must have the very bytes of one process. Then a sweep, and ranks that srun starts.
#
#   apt-get install slurm-wlm munge      # their services need not run
#   tests/cluster/slurm.sh [BUILD]       # some minutes; DRAWS=1000 is quicker, KEEP=1 keeps the folder
set -euo pipefail
cd "$(dirname "$0")/../.."
source=$PWD
program=$(realpath "${1:-build}")/pixeldp
for command in munged slurmctld slurmd sbatch srun python3 "$program"; do
  command -v "$command" > /dev/null || { echo "$command is missing: see the head of $0" >&2; exit 1; }
done

folder=$(mktemp -d)
chmod 711 "$folder"  # munge wants its socket where everybody comes to
services=()
finish() {
  local status=$?
  [ $status = 0 ] || tail -n 20 "$folder"/slurm*.log "$folder"/work/*.out "$folder"/work/*.err 2> /dev/null >&2 || true
  for ((i = ${#services[@]} - 1; i >= 0; --i)); do
    kill "${services[i]}" 2> /dev/null && wait "${services[i]}" 2> /dev/null || true
  done
  if [ "${KEEP:-0}" = 1 ] || [ $status != 0 ]; then echo "kept: $folder" >&2; else rm -rf "$folder"; fi
}
trap finish EXIT
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
die() { echo "error: $*" >&2; exit 1; }
# until_done SECONDS WHAT COMMAND...: tries it until it succeeds.
until_done() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "waited in vain for $what"
    sleep 0.2
  done
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# --- Slurm -----------------------------------------------------------------------------------------------------------
user=$(id -un) host=$(hostname -s)
mkdir "$folder"/{munge,state,spool,work}
chmod 711 "$folder/munge"
dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
chmod 400 "$folder/munge/key"
cat > "$folder/slurm.conf" <<END
ClusterName=one
MailProg=/bin/true
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
# A job starts again when the credentials of its last start are no longer valid.
AuthInfo=socket=$folder/munge/socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
ReturnToService=2
# As many processors as the array has tasks, whatever this machine has.
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=usual Nodes=$host Default=YES PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=$host PriorityTier=9
END
export SLURM_CONF=$folder/slurm.conf
munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
  --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" > "$folder/munged.out" 2>&1 &
services+=($!)
until_done 20 munge test -S "$folder/munge/socket"
slurmctld -D -c > /dev/null 2>&1 & services+=($!)  # into its log
slurmd -D > /dev/null 2>&1 & services+=($!)
node_is_idle() { [ "$(sinfo -h -o %t -p usual)" = idle ]; }
until_done 60 "the node" node_is_idle
say "$(sinfo --version): $(sinfo -h -o '%D node, %c processors, %t' -p usual)"

# --- What one process makes ------------------------------------------------------------------------------------------
cd "$folder/work"
export OMP_NUM_THREADS=1 PIXELDP=$program DEVICE=cpu
"$source/tests/cluster/made_run.py" . 120
"$program" train made.yaml --output run > train.txt 2>&1
certify=(run --data . --draws "${DRAWS:-6000}")
say "one process certifies 120 images"
"$program" certify "${certify[@]}" --output whole > whole.txt 2>&1

# --- An array whose tasks are told to stop, killed and preempted -----------------------------------------------------
submit() { sbatch --parsable --cpus-per-task=1 "$@"; }
job=$(submit --array=0-3 "$source/scripts/slurm/certify.sbatch" "${certify[@]}" --output log)
merge=$(submit --dependency=afterany:"$job" --output=merge.out "$source/scripts/slurm/merge.sbatch" "${certify[@]}" \
  --output log)
shown() { scontrol show job "$1" 2> /dev/null | grep -oE "\b$2=[^ ]*" | head -1 | cut -d= -f2; }
has_lines() { [ "$(wc -l < "$1")" -ge "$2" ]; }
for task in 0 1 2 3; do until_done 120 "the first lines of task $task" has_lines log.part-$task 4; done
say "array job $job: all four tasks write"
process_of() {  # of a job: its process, by Slurm's own list
  local pid
  for pid in $(scontrol listpids "$(shown "$1" JobId)" 2> /dev/null | awk 'NR > 1 { print $1 }'); do
    if [ "$(readlink "/proc/$pid/exe")" = "$program" ]; then echo "$pid"; return; fi
  done
  return 1
}
scancel --signal=USR1 "${job}_0"
say "task 0 was sent SIGUSR1: time is up"
kill -KILL "$(process_of "${job}_1")"
say "task 1 was killed"
restarted() { [ "$(shown "$1" Restarts)" -ge 1 ]; }
for task in 0 1; do until_done 90 "the restart of task $task" restarted "${job}_$task"; done
urgent=$(sbatch --parsable --partition=urgent --ntasks=4 --output=/dev/null --wrap 'sleep 1')
say "job $urgent, which is urgent, wants all processors"
ended() { [ "$(shown "$1" JobState)" = COMPLETED ]; }
until_done 200 "the urgent job" ended "$urgent"
for task in 0 1 2 3; do until_done 300 "the end of task $task" ended "${job}_$task"; done
preempted=0
for task in 0 1 2 3; do
  say "task $task: $(shown "${job}_$task" JobState) after $(shown "${job}_$task" Restarts) restarts"
  if [ $task -ge 2 ] && restarted "${job}_$task"; then preempted=$((preempted + 1)); fi
done
[ $preempted -gt 0 ] || die "no task was preempted and started again"
until_done 120 "the merge" ended "$merge"
cmp log whole || die "the merged log is not that of one process"
ls log.part-* > /dev/null 2>&1 && die "parts are left"
say "merged by job $merge: the very bytes of one process"

# --- A sweep by two tasks, one of which is told to stop --------------------------------------------------------------
cat > sweep.yaml <<END
name: seeds
configurations: [made.yaml]
settings: [{key: training.seed, values: [1, 2, 3]}]
certify: [{option: draws, values: [600]}]
END
job=$(submit --array=0-1 "$source/scripts/slurm/sweep.sbatch" sweep.yaml)
until_done 120 "the sweep's first network" test -e "sweeps/seeds/made,training.seed=1/training.csv"
scancel --signal=USR1 "${job}_0"
for task in 0 1; do until_done 200 "the end of the sweep's task $task" ended "${job}_$task"; done
restarted "${job}_0" || die "the sweep's task 0 was not started again"
[ "$(wc -l < sweeps/seeds/report.csv)" -gt 3 ] || die "the sweep has no report"
say "sweep by two tasks, the first started again: $(ls -d sweeps/seeds/*/certify.done | wc -l) certifications, one report"

# --- Ranks -----------------------------------------------------------------------------------------------------------
if ! srun --mpi=list 2>&1 | grep -q pmix || [ ! -e "$(dirname "$program")/libpixeldp_mpi.so" ]; then
  say "no ranks: Slurm has no PMIx, or the program no MPI"
  exit 0
fi
ranks=(srun --mpi=pmix --ntasks=3 --wait=20)
"${ranks[@]}" "$program" certify "${certify[@]}" --output by-ranks > ranks.txt 2> ranks.err
cmp by-ranks whole || die "the log of ranks is not that of one process"
"$program" predict run test:3 --data . --draws 20000 > alone.txt
"${ranks[@]}" "$program" predict run test:3 --data . --draws 20000 2> ranks.err | cmp - alone.txt
say "3 ranks by srun: the very log, and the very prediction, of one process"
"${ranks[@]}" "$program" certify "${certify[@]}" --output lost > ranks.txt 2> ranks.err & step=$!
until_done 120 "the first lines of rank 1" has_lines lost.part-1 4
lost=$(for p in /proc/[0-9]*; do
  if [ "$(readlink "$p/exe" 2> /dev/null)" = "$program" ] && tr '\0' '\n' < "$p/environ" | grep -qx SLURM_PROCID=1; then
    basename "$p"
  fi
done)
kill -KILL "$lost"
wait $step && die "ranks that lost one ended as if nothing had been"
"${ranks[@]}" "$program" certify "${certify[@]}" --output lost --resume > ranks.txt 2> ranks.err
cmp lost whole || die "after the loss of a rank, the log is not that of one process"
say "a rank was killed, the others ended, --resume went on: the very log"
job=$(submit --ntasks=2 --output=train.out "$source/scripts/slurm/train.sbatch" made.yaml --output by-two)
until_done 200 "the training by two ranks" ended "$job"
test -e by-two/model.safetensors
say "two ranks trained, by train.sbatch"
