package database

import (
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/postgresql"
)

// plugins lists the databases this engine speaks to, by plugin_name.
func plugins() map[string]func() dbplugin.Database {
	return map[string]func() dbplugin.Database{
		"postgresql-database-plugin": postgresql.New,
	}
}
