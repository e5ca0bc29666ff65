import urllib.request

with urllib.request.urlopen("https://web.service.consul:8443/") as response:
    print(response.read().decode())
