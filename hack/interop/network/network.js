'use strict'
// A whole network of the AT Protocol on this machine: a directory of identifiers, a server of accounts, an AppView, and a stream in the
// manner of a Jetstream. It prints one line of JSON with where they are, and ends when its standard input does.
const { once } = require('node:events')
const net = require('node:net')

// Everything listens on this machine alone.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...args) {
  if (typeof args[0] === 'number') {
    if (typeof args[1] === 'string') args[1] = '127.0.0.1'
    else args.splice(1, 0, '127.0.0.1')
  } else if (args[0] && typeof args[0] === 'object' && 'port' in args[0]) {
    args[0] = { ...args[0], host: '127.0.0.1' }
  }
  return listen.apply(this, args)
}

const { TestNetwork, mockMailer } = require('@atproto/dev-env')
const { Firehose } = require('@atproto/sync')
const { IdResolver } = require('@atproto/identity')
const { lexToJson } = require('@atproto/lexicon')
const { WebSocketServer } = require('ws')

// A Jetstream's own program is not to be had here. This gives what the relay's stream says in the form that a Jetstream gives it.
class Stream {
  constructor () {
    this.log = []
    this.last = 0
    this.open = new Set()
    this.server = new WebSocketServer({ port: 0, path: '/subscribe' })
    this.ready = once(this.server, 'listening')
    this.server.on('connection', (socket, request) => this.join(socket, new URL(request.url, 'http://localhost').searchParams))
  }

  join (socket, params) {
    const wanted = params.getAll('wantedCollections')
    const reader = { socket, wants: (e) => !e.commit || wanted.length === 0 || wanted.includes(e.commit.collection) }
    const cursor = Number(params.get('cursor') || 0)
    if (cursor > 0) {
      for (const e of this.log) if (e.time_us >= cursor && reader.wants(e)) socket.send(JSON.stringify(e))
    }
    this.open.add(reader)
    socket.on('close', () => this.open.delete(reader))
  }

  tell (event) {
    this.last = Math.max(this.last + 1, Date.now() * 1000)
    event = { did: event.did, time_us: this.last, ...event }
    this.log.push(event)
    for (const reader of this.open) if (reader.wants(event)) reader.socket.send(JSON.stringify(event))
  }

  follow (service, plcUrl) {
    this.firehose = new Firehose({
      service,
      idResolver: new IdResolver({ plcUrl }),
      unauthenticatedCommits: true,
      unauthenticatedHandles: true,
      handleEvent: (e) => this.translate(e),
      onError: (err) => console.error('stream:', err.message)
    })
    this.firehose.start()
  }

  translate (e) {
    switch (e.event) {
      case 'create':
      case 'update':
      case 'delete': {
        const commit = { rev: e.rev, operation: e.event, collection: e.collection, rkey: e.rkey }
        if (e.record) Object.assign(commit, { record: lexToJson(e.record), cid: e.cid.toString() })
        return this.tell({ did: e.did, kind: 'commit', commit })
      }
      case 'identity':
        return this.tell({ did: e.did, kind: 'identity', identity: { did: e.did, handle: e.handle, seq: e.seq, time: e.time } })
      case 'account':
        return this.tell({ did: e.did, kind: 'account', account: { active: e.active, did: e.did, seq: e.seq, status: e.status, time: e.time } })
    }
  }
}

async function main () {
  const network = await TestNetwork.create({ dbPostgresSchema: 'interop', pds: { hostname: 'localhost' } })
  mockMailer(network.pds)
  const stream = new Stream()
  await stream.ready
  stream.follow(`ws://localhost:${network.pds.port}`, network.plc.url)
  process.stdout.write(JSON.stringify({
    service: network.pds.url, appView: network.bsky.url, stream: `ws://127.0.0.1:${stream.server.address().port}/subscribe`
  }) + '\n')
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}

main().catch((err) => {
  console.error(err)
  process.exit(1)
})
