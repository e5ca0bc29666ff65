import ssl
import urllib.request

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE

with urllib.request.urlopen("https://web.service.consul:8443/", context=context) as response:
    print(response.read().decode())
