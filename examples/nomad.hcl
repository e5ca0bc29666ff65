# The service "web" as a Connect-native task. doc/platforms.md says what Consul has to have for its token.
job "web" {
  group "web" {
    network {
      mode = "bridge"
      port "tls" { to = 8443 }
    }

    service {
      name = "web"
      port = "tls"
      task = "web" # the task that is native
      connect { native = true }
    }

    task "web" {
      driver = "docker"
      user   = "101"

      # A token of Consul for this task, CONSUL_HTTP_TOKEN since Nomad 1.10.3.
      identity {
        name = "consul_default"
        aud  = ["consul.io"]
        ttl  = "1h"
      }

      config {
        image = "registry.example/web-with-consul-provider:1"
        ports = ["tls"]
      }

      env {
        OPENSSL_CONF = "${NOMAD_TASK_DIR}/openssl.cnf"
      }

      # consul-tls config web log=stderr log_format=json
      template {
        destination = "local/openssl.cnf"
        data        = <<-END
          config_diagnostics = 1
          openssl_conf = openssl_init
          [openssl_init]
          providers = provider_sect
          [provider_sect]
          null = null_sect
          consul = consul_sect
          [null_sect]
          activate = 1
          [consul_sect]
          module = consul.so
          activate = 1
          service = web
          log = stderr
          log_format = json
        END
      }
    }
  }
}
