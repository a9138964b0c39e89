# Installs a configuration of examples/agent below the folder root, with the
# AppRole credentials that app.sh left, as agent.hcl:
#
#   sh -e example.sh NAME.hcl

sed "s|\"/|\"$WORK/root/|" "examples/$1" >agent.hcl
mkdir -p root/etc/securevault root/etc/app root/run/app root/run/securevault
mv role-id secret-id root/etc/securevault/
