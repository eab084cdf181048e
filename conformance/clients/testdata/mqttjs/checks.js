// MQTT.js against one broker in one version of MQTT: node checks.js URL VERSION.
// Prints one line for each check; the Go test compares them.
'use strict'
const mqtt = require('mqtt')

const [url, version] = [process.argv[2], Number(process.argv[3])]
const five = version === 5
const protocolId = version === 3 ? 'MQIsdp' : 'MQTT'

const say = (...words) => process.stdout.write(words.join(' ') + '\n')

// connect gives a client whose messages are read with next().
async function connect(clientId, more = {}) {
  const c = mqtt.connect(url, {
    protocolVersion: version, protocolId, clientId, clean: true, reconnectPeriod: 0, ...more,
  })
  const queue = []
  const waiting = []
  c.on('message', (topic, payload, packet) => {
    const m = { topic, payload: payload.toString(), packet }
    if (waiting.length > 0) waiting.shift()(m)
    else queue.push(m)
  })
  const next = () => new Promise(done => {
    if (queue.length > 0) done(queue.shift())
    else waiting.push(done)
  })
  const connack = await new Promise((done, fail) => {
    c.once('connect', done)
    c.once('error', fail)
  })
  return { c, next, present: connack.sessionPresent }
}

async function qos(watch) {
  for (const q of [0, 1, 2]) {
    await watch.c.publishAsync('t', 'm' + q, { qos: q })
    const m = await watch.next()
    say('qos', m.topic, m.payload, m.packet.qos)
  }
}

async function retained(watch) {
  await watch.c.publishAsync('r', 'kept', { qos: 1, retain: true })
  await watch.c.subscribeAsync('r', { qos: 1 })
  const m = await watch.next()
  say('retained', m.payload, m.packet.retain)
}

async function will(watch) {
  await watch.c.subscribeAsync('will', { qos: 1 })
  const dying = await connect('dying', { will: { topic: 'will', payload: 'gone', qos: 1, retain: false } })
  dying.c.stream.destroy()
  const m = await watch.next()
  say('will', m.payload, m.packet.qos)
}

async function session(watch) {
  const keep = { clean: false, ...(five ? { properties: { sessionExpiryInterval: 100 } } : {}) }
  const first = await connect('keeper', keep)
  if (version !== 3) say('session present', first.present) // 3.1 does not say
  await first.c.subscribeAsync('p', { qos: 2 })
  await first.c.endAsync()
  for (const q of [1, 2]) await watch.c.publishAsync('p', 'queued' + q, { qos: q })
  const again = await connect('keeper', keep)
  if (version !== 3) say('session present', again.present)
  for (let i = 0; i < 2; i++) {
    const m = await again.next()
    say('session', m.payload, m.packet.qos)
  }
  await again.c.endAsync()
}

async function properties(watch) {
  await watch.c.subscribeAsync('props', { qos: 1, properties: { subscriptionIdentifier: 9 } })
  await watch.c.publishAsync('props', 'm', {
    qos: 1,
    properties: {
      contentType: 'text/plain', responseTopic: 'answers', correlationData: Buffer.from('c1'),
      payloadFormatIndicator: true, userProperties: { a: ['b', 'c'] },
    },
  })
  const p = (await watch.next()).packet.properties
  say('properties', p.contentType, p.responseTopic, p.correlationData, p.payloadFormatIndicator,
    JSON.stringify(p.userProperties), p.subscriptionIdentifier)
}

async function main() {
  const watch = await connect('watch')
  await watch.c.subscribeAsync('t', { qos: 2 })
  await qos(watch)
  await retained(watch)
  await will(watch)
  await session(watch)
  if (five) await properties(watch)
  await watch.c.unsubscribeAsync('t')
  await watch.c.endAsync()
  say('done')
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
