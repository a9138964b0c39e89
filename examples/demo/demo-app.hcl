# All that the agent of the demo app may do.
path "database/creds/app-readonly" { capabilities = ["read"] }
path "sys/leases/renew"            { capabilities = ["update"] }
path "sys/leases/revoke"           { capabilities = ["update"] }
