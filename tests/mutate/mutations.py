# SPDX-License-Identifier: Apache-2.0
"""All faults, each file of them with a topic."""

import of_agent
import of_hooks
import of_identity
import of_module
import of_store

MUTATIONS = [one for file in (of_hooks, of_module, of_identity, of_store, of_agent) for one in file.MUTATIONS]
