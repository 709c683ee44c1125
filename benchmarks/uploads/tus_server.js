// @tus/server as its documentation sets it up: files in a folder. Tells its address on one line.
import http from 'node:http'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [folder] = process.argv.slice(2)
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: folder }) })
const server = http.createServer((request, response) => tus.handle(request, response))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
