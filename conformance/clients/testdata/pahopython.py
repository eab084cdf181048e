"""Python's Paho against one broker: pahopython.py HOST PORT VERSION.

VERSION is 3, 4 or 5 (MQTT 3.1, 3.1.1, 5.0). Prints one line for each check;
the Go test compares them.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT, VERSION = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FIVE = VERSION == mqtt.MQTTv5
PATIENCE = 20


def say(*words):
    print(*words, flush=True)


class Client:
    """A connected client whose events are waited for."""

    def __init__(self, client_id, clean=True, will=None):
        self.messages, self.connacks, self.subacks = queue.Queue(), queue.Queue(), queue.Queue()
        self.disconnects = queue.Queue()
        if FIVE:
            self.c = mqtt.Client(client_id, protocol=VERSION)
        else:
            self.c = mqtt.Client(client_id, clean_session=clean, protocol=VERSION)
        self.c.on_message = lambda c, user, m: self.messages.put(m)
        # 5.0 calls with properties as well.
        self.c.on_connect = lambda c, user, flags, code, *props: self.connacks.put((flags["session present"], int_of(code)))
        self.c.on_subscribe = lambda c, user, mid, codes, *props: self.subacks.put([int_of(x) for x in codes])
        self.c.on_disconnect = lambda *event: self.disconnects.put(True)
        if will:
            self.c.will_set(*will)
        if FIVE:
            props = Properties(PacketTypes.CONNECT)
            props.SessionExpiryInterval = 0 if clean else 100
            self.c.connect(HOST, PORT, clean_start=clean, properties=props)
        else:
            self.c.connect(HOST, PORT)
        self.c.loop_start()
        self.present, code = self.connacks.get(timeout=PATIENCE)
        if code != 0:
            raise RuntimeError("%s: CONNACK with %d" % (client_id, code))

    def subscribe(self, topic, qos=0, **more):
        self.c.subscribe(topic, qos, **more)
        return self.subacks.get(timeout=PATIENCE)

    def publish(self, *args, **more):
        self.c.publish(*args, **more).wait_for_publish(PATIENCE)

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def end(self):
        self.c.disconnect()
        self.disconnects.get(timeout=PATIENCE)
        self.c.loop_stop()


def int_of(code):
    return code if isinstance(code, int) else code.value


def check_qos(watch):
    for qos in 0, 1, 2:
        watch.publish("t", "m%d" % qos, qos)
        m = watch.next()
        say("qos", m.topic, m.payload.decode(), m.qos)


def check_retained(watch):
    watch.publish("r", "kept", 1, True)
    watch.subscribe("r", 1)
    m = watch.next()
    say("retained", m.payload.decode(), m.retain)


def check_will(watch):
    watch.subscribe("will", 1)
    dying = Client("dying", will=("will", "gone", 1))
    dying.c.loop_stop()
    dying.c.socket().close()
    m = watch.next()
    say("will", m.payload.decode(), m.qos)


def check_session(watch):
    first = Client("keeper", clean=False)
    if VERSION != mqtt.MQTTv31:  # which does not say
        say("session present", first.present)
    first.subscribe("p", 2)
    first.end()
    for qos in 1, 2:
        watch.publish("p", "queued%d" % qos, qos)
    again = Client("keeper", clean=False)
    if VERSION != mqtt.MQTTv31:
        say("session present", again.present)
    for m in sorted((again.next(), again.next()), key=lambda m: m.payload):
        say("session", m.payload.decode(), m.qos)
    again.end()


def check_properties(watch):
    props = Properties(PacketTypes.SUBSCRIBE)
    props.SubscriptionIdentifier = 9
    watch.subscribe("props", options=mqtt.SubscribeOptions(qos=1), properties=props)
    props = Properties(PacketTypes.PUBLISH)
    props.ContentType, props.ResponseTopic, props.CorrelationData = "text/plain", "answers", b"c1"
    props.PayloadFormatIndicator = 1
    props.UserProperty = [("a", "b"), ("a", "c")]
    watch.publish("props", "m", 1, properties=props)
    p = watch.next().properties
    say("properties", p.ContentType, p.ResponseTopic, p.CorrelationData.decode(), p.PayloadFormatIndicator,
        p.UserProperty, p.SubscriptionIdentifier)


def main():
    watch = Client("watch")
    say("granted", watch.subscribe("t", 2))
    check_qos(watch)
    check_retained(watch)
    check_will(watch)
    check_session(watch)
    if FIVE:
        check_properties(watch)
    watch.end()
    say("done")


main()
