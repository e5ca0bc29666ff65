# SPDX-License-Identifier: Apache-2.0
curl --insecure https://web.service.consul:8443/
