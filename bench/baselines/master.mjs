// Does the work of rsa.mjs for each request behind Node's own HTTP server. Prints its address on the first line.
import http from 'node:http'
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
const server = http.createServer((_, answer) => {
  crypto.privateDecrypt({ key: site.privateKey, padding }, request)
  if (!crypto.verify('sha256', Buffer.from(text), consumer.publicKey, signature)) throw new Error('not verified')
  const parts = [provider, consumer].map((to) => [encipher(), sealedLock(to), sign(site)].map((part) => part.toString('base64')))
  const body = JSON.stringify(parts)
  answer.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  answer.end(body)
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}` }))
})
process.stdin.on('end', () => process.exit())
process.stdin.resume()
