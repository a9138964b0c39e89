package mssql_test

import (
	"testing"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/database/plugintest"
	"github.com/novatech/securevault/server/engines/enginetest"
)

func TestLoginsConform(t *testing.T) {
	proxy := enginetest.NewProxy(t, server.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: server.config(proxy.Address(), shop)}, {Path: "roles/app", Data: role(loginRole)}},
		Creds:   "creds/app",
		Login:   server.login(shop),
		Proxy:   proxy,
		Users:   server.users(shop),
	}.Run(t)
}

func TestContainedUsersConform(t *testing.T) {
	proxy := enginetest.NewProxy(t, server.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: server.containedConfig(proxy.Address(), containedShop)}, {Path: "roles/app", Data: role(userRole)}},
		Creds:   "creds/app",
		Login:   server.login(containedShop),
		Proxy:   proxy,
		Users:   server.users(containedShop),
	}.Run(t)
}

func TestUsersOfAzureSQLConform(t *testing.T) {
	proxy := enginetest.NewProxy(t, azure.address)
	enginetest.Suite{
		Factory: database.Factory,
		Setup:   []enginetest.Write{{Path: "config/shop", Data: azure.containedConfig(proxy.Address(), shop)}, {Path: "roles/app", Data: role(userRole)}},
		Creds:   "creds/app",
		Login:   azure.login(shop),
		Proxy:   proxy,
		Users:   azure.users(shop),
	}.Run(t)
}

func TestHostileInputIsSurvivedByLogins(t *testing.T) {
	plugintest.Hostile{
		Config:  server.config(server.address, shop),
		Role:    role(loginRole),
		Halfway: role(loginRole + " GRANT SELECT ON SCHEMA::nosuchschema TO [{{name}}];"),
		Users:   server.users(shop),
		Drop: func(t testing.TB, name string) {
			server.mustExec(t, "USE ["+shop+"]; DROP USER ["+name+"]", "DROP LOGIN ["+name+"]")
		},
		Admin: adminPassword,
	}.Run(t)
}

func TestHostileInputIsSurvivedByContainedUsers(t *testing.T) {
	plugintest.Hostile{
		Config:  server.containedConfig(server.address, containedShop),
		Role:    role(userRole),
		Halfway: role(userRole, "GRANT SELECT ON SCHEMA::nosuchschema TO [{{name}}]"),
		Users:   server.users(containedShop),
		Drop:    func(t testing.TB, name string) { server.in(t, containedShop, "DROP USER ["+name+"]") },
		Admin:   adminPassword,
	}.Run(t)
}
