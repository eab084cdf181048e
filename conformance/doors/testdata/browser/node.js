// MQTT.js in Node.js through one door and a plain one: node node.js WS-URL TCP-URL VERSION [CA-FILE].
// Prints one line for each check; the Go test compares them.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [wsURL, tcpURL, version, caFile] = process.argv.slice(2)
const say = (...words) => process.stdout.write(words.join(' ') + '\n')

// connect gives a client that is subscribed, and its messages in turn.
async function connect(url, clientId) {
  const c = await mqtt.connectAsync(url, {
    protocolVersion: Number(version), clientId, clean: true, reconnectPeriod: 0,
    ...(caFile && url.startsWith('wss') ? { ca: fs.readFileSync(caFile) } : {}),
  })
  const queue = []
  const waiting = []
  c.on('message', (topic, payload, packet) => {
    const m = `${topic} ${payload.length > 100 ? payload.length + ' bytes' : payload} ${packet.qos}`
    if (waiting.length > 0) waiting.shift()(m)
    else queue.push(m)
  })
  const next = () => new Promise(done => queue.length > 0 ? done(queue.shift()) : waiting.push(done))
  await c.subscribeAsync('doors/#', { qos: 2 })
  return { c, next }
}

async function main() {
  const web = await connect(wsURL, 'web')
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
  await plain.c.endAsync()
  say('done')
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
