const https = require("https");

const options = {
    host: "web.service.consul",
    port: 8443,
    rejectUnauthorized: false,
};
https.get(options, (response) => response.pipe(process.stdout)).on("error", (error) => {
    console.error(error.message);
    process.exitCode = 1;
});
