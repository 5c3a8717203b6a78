// The RSA operations of a v1 site for one request, with Node's own crypto and nothing else: opens one lock, verifies one
// signature, makes two locks and two signatures. Prints requests per second.
import crypto from 'node:crypto'

const pair = () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })
const [site, consumer, provider] = [pair(), pair(), pair()]
const padding = crypto.constants.RSA_PKCS1_OAEP_PADDING
const lock = JSON.stringify({ key: 'k'.repeat(44), iv: 'v'.repeat(24), algorithm: 'aes-256-cbc' })
const sealedLock = (to) => crypto.publicEncrypt({ key: to.publicKey, padding }, Buffer.from(lock))
const text = 'm'.repeat(1500)
const sign = (by) => crypto.sign('sha256', Buffer.from(text), by.privateKey)
const encipher = () => {
  const cipher = crypto.createCipheriv('aes-256-cbc', crypto.randomBytes(32), crypto.randomBytes(16))
  return Buffer.concat([cipher.update(text), cipher.final()])
}

const request = sealedLock(site)
const signature = sign(consumer)
const once = () => {
  crypto.privateDecrypt({ key: site.privateKey, padding }, request)
  if (!crypto.verify('sha256', Buffer.from(text), consumer.publicKey, signature)) throw new Error('not verified')
  for (const to of [provider, consumer]) {
    encipher()
    sealedLock(to)
    sign(site)
  }
}

const times = Number(process.argv[2])
for (let at = 0; at < 20; at++) once()
const begun = process.hrtime.bigint()
for (let at = 0; at < times; at++) once()
console.log(times / (Number(process.hrtime.bigint() - begun) / 1e9))
