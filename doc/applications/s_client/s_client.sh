# SPDX-License-Identifier: Apache-2.0
openssl s_client -connect web.service.consul:8443 -quiet
