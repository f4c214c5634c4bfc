# OpenBao as docker-compose.yml runs it: one node that keeps its data on a volume
# and unseals itself with a key that is a file of the host. Production wants TLS,
# three nodes and the key in an HSM or KMS.
storage "raft" {
  path    = "/openbao/file"
  node_id = "openbao"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_disable     = true
}

seal "static" {
  current_key_id = "1"
  current_key    = "file:///run/secrets/openbao_unseal_key"
}

# Audit devices cannot be made through the API.
audit "file" "stdout" {
  options {
    file_path = "stdout"
  }
}

api_addr     = "http://openbao:8200"
cluster_addr = "https://openbao:8201"
