#!/bin/sh
# Installs what the tests and benchmarks talk to: of Debian mosquitto (a peer
# broker) and its clients, Python's Paho, OpenSSL, curl, haproxy, nginx,
# Chromium and groff, and a C compiler for the race detector; of npm MQTT.js and
# playwright-core, into the folders of the scripts that use them. Does
# nothing where they are there already. Does not leave services running or
# enabled: the tests start their own, and port 1883 stays free for LoopMQ.
set -eu
PATH=$PATH:/usr/sbin:/sbin
conformance=$(dirname "$0")/../conformance

# npm leaves a copy of the lock file in node_modules, newer than ours when it is up to date.
npm_client() {
	[ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] && return
	command -v npm >/dev/null || { echo "the tests need Node.js and npm, which are not installed" >&2; exit 1; }
	(cd "$1" && npm ci --silent --no-audit --no-fund) ||
		{ echo "the tests need what package.json names: npm ci failed in $1" >&2; exit 1; }
}

npm_client "$conformance/clients/testdata/mqttjs"
npm_client "$conformance/doors/testdata/browser"
missing=
command -v mosquitto >/dev/null || missing="$missing mosquitto"
command -v mosquitto_pub >/dev/null || missing="$missing mosquitto-clients"
command -v "${CC:-gcc}" >/dev/null || command -v cc >/dev/null || missing="$missing gcc libc6-dev"
/usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing="$missing python3-paho-mqtt"
for program in openssl curl haproxy nginx chromium; do
	command -v $program >/dev/null || missing="$missing $program"
done
command -v groff >/dev/null || missing="$missing groff-base"
[ -n "$missing" ] || exit 0

give_up() {
	echo "the tests need:$missing ($1); on Debian type:" >&2
	echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing && sudo systemctl disable --now mosquitto" >&2
	exit 1
}

command -v apt-get >/dev/null || give_up "no apt-get here"
if [ "$(id -u)" = 0 ]; then
	sudo=
elif sudo -n true 2>/dev/null; then
	sudo="sudo -n"
else
	give_up "not root, and sudo asks for a password"
fi

# policy-rc.d is how Debian is told not to start services while installing.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$sudo rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
	$sudo chmod 755 $policy
fi

echo "installing:$missing"
apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
$apt update </dev/null >/dev/null || give_up "apt-get update failed"
# shellcheck disable=SC2086 # a list of words
$apt install -y --no-install-recommends $missing </dev/null >/dev/null || give_up "apt-get install failed"
for service in mosquitto haproxy nginx; do
	case "$missing " in *" $service "*) $sudo systemctl disable $service >/dev/null 2>&1 || true ;; esac
done
