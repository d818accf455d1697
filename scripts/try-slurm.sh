#!/bin/bash
# Tries the job scripts of docs/clusters on a Slurm of one node that it sets up in a folder, and takes down again:
#
#   apt-get install slurmd slurmctld slurm-client munge openmpi-bin
#   scripts/try-slurm.sh [FOLDER]                       # as root, after a build; about two minutes on two cores
#
# prepare.sbatch in five parts and merged: the bytes of one call. pretrain.sbatch on two ranks with a warning before its time is over: requeued,
# resumed, the bytes of one process without MPI.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mkdir -p "${1:-/tmp/gvsl-slurm}" && cd "${1:-/tmp/gvsl-slurm}" && pwd)
cd "$folder"
rm -rf slurm work && mkdir -p slurm/{state,spool,munge} work bin
host=$(hostname -s)
slurm=$folder/slurm
cat > slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$host
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SwitchType=switch/none
JobRequeue=1
NodeName=$host CPUs=$(nproc) RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$slurm/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
printf '#!/bin/sh\nexec node %s/dist/cli/main.js "$@"\n' "$project" > bin/gvsl && chmod +x bin/gvsl
export PATH=$folder/bin:$PATH

down() {
  scancel --quiet --user="$(id -un)" 2>/dev/null || true
  for name in slurmd slurmctld; do [ -e "slurm/$name.pid" ] && kill "$(cat "slurm/$name.pid")" 2>/dev/null || true; done
  [ -e slurm/munge/munged.pid ] && kill "$(cat slurm/munge/munged.pid)" 2>/dev/null || true
}
trap 'cd "$folder"; down' EXIT
chmod 700 slurm/munge
head -c 1024 /dev/urandom > slurm/munge/key && chmod 400 slurm/munge/key
munged --force --key-file=$slurm/munge/key --socket=$slurm/munge/socket --pid-file=$slurm/munge/munged.pid \
  --log-file=$slurm/munge/munged.log --seed-file=$slurm/munge/seed
sleep 1 && slurmctld && slurmd
until sinfo -h -o %T | grep -q idle; do sleep 1; done

# waits until a job is out of the queue
finished() { while [ -n "$(squeue -h -j "$1" 2>/dev/null)" ]; do sleep 1; done; }
# of all files below a folder but logs of times
sums() { (cd "$1" && find . -type f -name "${2:-*}" -not -name .lock | sort | xargs sha256sum | sha256sum | cut -c1-16); }
same() { [ "$2" = "$3" ] && echo "$1: the same bytes ($2)" || { echo "$1: DIFFERENT BYTES, $2 and $3" >&2; exit 1; }; }

cd work
gvsl phantom scans --kind heart-ct --subjects 12 --spacing 6 --seed 3 > /dev/null 2>&1
gvsl prepare scans at-once --modality ct --spacing 6 > /dev/null 2>&1
parts=$(sbatch --parsable --array=1-5 --cpus-per-task=1 --mem=500M "$project/docs/clusters/prepare.sbatch" scans in-parts --modality ct --spacing 6)
merge=$(sbatch --parsable --dependency=afterany:"$parts" --mem=500M --wrap 'gvsl prepare scans in-parts --modality ct --spacing 6 --merge')
finished "$parts" && finished "$merge"
same 'prepared in 5 parts by a job array, and in one call' "$(sums in-parts)" "$(sums at-once)"

cat > pretrain.yaml <<CONFIG
steps: ${STEPS:-400}
batch: 2
learningRate: 0.001
model: { width: 0.125 }
data: { patch: [24, 32, 32], heldOut: 2 }
log: { everySteps: 10, evaluateEverySteps: 0, checkpointEverySteps: 100, picturesEverySteps: 0 }
CONFIG
# a minute of time with a warning 30 s before its end: stopped at least once
job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --mem-per-cpu=500M --time=1 --signal=USR1@30 \
  "$project/docs/clusters/pretrain.sbatch" at-once run --config pretrain.yaml)
finished "$job"
echo "pretrain.sbatch ran $(grep -c '^cohort ' "gvsl-pretrain-$job.txt") times: $(scontrol show job "$job" 2>/dev/null | grep -o 'Restarts=[0-9]*' || true)"
gvsl pretrain at-once --out alone --config pretrain.yaml > /dev/null 2>&1
same 'pre-trained by two ranks, requeued and resumed, and by one process' "$(sums run/last '*.safetensors')" "$(sums alone/last '*.safetensors')"
