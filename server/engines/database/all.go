package database

import (
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/elasticsearch"
	"github.com/novatech/securevault/server/engines/database/mongodb"
	"github.com/novatech/securevault/server/engines/database/mssql"
	"github.com/novatech/securevault/server/engines/database/mysql"
	"github.com/novatech/securevault/server/engines/database/oracle"
	"github.com/novatech/securevault/server/engines/database/postgresql"
	"github.com/novatech/securevault/server/engines/database/redis"
)

// plugins lists the databases this engine speaks to, by plugin_name.
func plugins() map[string]func() dbplugin.Database {
	return map[string]func() dbplugin.Database{
		"elasticsearch-database-plugin": elasticsearch.New,
		"mongodb-database-plugin":       mongodb.New,
		"mssql-database-plugin":         mssql.New,
		"mysql-aurora-database-plugin":  mysql.New,
		"mysql-database-plugin":         mysql.New,
		"mysql-legacy-database-plugin":  mysql.NewLegacy,
		"mysql-rds-database-plugin":     mysql.New,
		"oracle-database-plugin":        oracle.New,
		"postgresql-database-plugin":    postgresql.New,
		"redis-database-plugin":         redis.New,
		"vault-plugin-database-oracle":  oracle.New,
	}
}
