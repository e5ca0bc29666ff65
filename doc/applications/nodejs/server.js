const fs = require("fs");
const https = require("https");

const options = {
    cert: fs.readFileSync("/etc/consul-provider/web.pem"),
    key: fs.readFileSync("/etc/consul-provider/web.key"),
};
const server = https.createServer(options, (request, response) => response.end("hello from Node.js\n"));
server.listen(8443, () => console.log(`listening on port ${server.address().port}`));
