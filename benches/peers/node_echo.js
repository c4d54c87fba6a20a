// node_echo.js PORT: a socket piped into itself.
const net = require("node:net");

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  client.on("error", () => client.destroy());
  client.pipe(client);
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
