// MQTT.js in Node.js through one door and a plain one: node node.js URL TCP-URL VERSION [CA-FILE].
// Prints one line for each check; the Go test compares them.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [url, tcpURL, version, caFile] = process.argv.slice(2)
const say = (...words) => process.stdout.write(words.join(' ') + '\n')

// open gives a client, and its messages in turn; present: it has found its session.
async function open(url, clientId, more) {
  const c = mqtt.connect(url, {
    protocolVersion: Number(version), clientId, clean: true, reconnectPeriod: 0,
    ...(caFile && /^(wss|mqtts):/.test(url) ? { ca: fs.readFileSync(caFile) } : {}), ...more,
  })
  const queue = []
  const waiting = []
  c.on('message', (topic, payload, packet) => {
    const m = `${topic} ${payload.length > 100 ? payload.length + ' bytes' : payload} ${packet.qos}`
    if (waiting.length > 0) waiting.shift()(m)
    else queue.push(m)
  })
  const next = () => new Promise(done => queue.length > 0 ? done(queue.shift()) : waiting.push(done))
  const { sessionPresent } = await new Promise((done, failed) => c.once('connect', done).once('error', failed))
  return { c, next, present: sessionPresent }
}

// connect gives one that is subscribed.
async function connect(url, clientId, more) {
  const client = await open(url, clientId, more)
  await client.c.subscribeAsync('doors/#', { qos: 2 })
  return client
}

// away leaves and comes back to its session, and what came meanwhile; then it is cut off, and its will is sent.
async function away(plain) {
  const more = { clean: false, will: { topic: 'doors/will', payload: 'gone', qos: 1 } }
  if (version === '5') more.properties = { sessionExpiryInterval: 60 }
  await (await connect(url, 'away', more)).c.endAsync()
  await plain.c.publishAsync('doors/kept', Buffer.alloc(1_000_000, 'x'), { qos: 1 })
  say('to plain:', await plain.next())
  const again = await open(url, 'away', more)
  say('session', again.present + ':', await again.next())
  again.c.stream.destroy()
  say('to plain:', await plain.next())
  await (await open(url, 'away')).c.endAsync() // ends the session
}

async function main() {
  const web = await connect(url, 'web')
  const plain = await connect(tcpURL, 'plain')
  for (const [name, from] of [['web', web], ['plain', plain]]) {
    for (const qos of [0, 1, 2]) {
      await from.c.publishAsync('doors/' + name, 'from ' + name, { qos })
      say(name, 'to web:', await web.next())
      say(name, 'to plain:', await plain.next())
    }
  }
  await web.c.publishAsync('doors/large', Buffer.alloc(200_000, 'x'), { qos: 1 })
  say('web to web:', await web.next())
  say('web to plain:', await plain.next())
  await web.c.endAsync()
  await away(plain)
  await plain.c.endAsync()
  say('done')
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
