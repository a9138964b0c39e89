package mongostandin

import (
	"go.mongodb.org/mongo-driver/v2/bson"
)

// namespace returns "database.collection" of a command on a collection, if the
// user may do that there.
func (o *operation) namespace(what action) (string, error) {
	collection, err := o.subject()
	if err != nil {
		return "", err
	}
	if collection == "" {
		return "", refuse(73, "InvalidNamespace", "Invalid namespace specified '%s.'", o.database)
	}
	if !o.user.may(what, o.database) {
		return "", o.unauthorized()
	}
	return o.database + "." + collection, nil
}

func insert(c *connection, o *operation) (bson.D, error) {
	namespace, err := o.namespace(insertDocuments)
	if err != nil {
		return nil, err
	}
	documents, given := o.sequence["documents"]
	if !given {
		value, ok := o.fields["documents"]
		if !ok {
			return nil, missing(o.name, "documents")
		}
		if err := value.Unmarshal(&documents); err != nil {
			return nil, typeMismatch(o.name, "documents")
		}
	}
	if len(documents) == 0 {
		return nil, refuse(16, "InvalidLength", "Write batch sizes must be between 1 and 100000. Got 0 operations.")
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.documents[namespace] = append(c.server.documents[namespace], documents...)
	return bson.D{{Key: "n", Value: int32(len(documents))}}, nil
}

// find returns a whole collection.
func find(c *connection, o *operation) (bson.D, error) {
	documents, namespace, err := c.collection(o, "filter")
	if err != nil {
		return nil, err
	}
	return bson.D{{Key: "cursor", Value: bson.D{
		{Key: "firstBatch", Value: documents}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: namespace},
	}}}, nil
}

func count(c *connection, o *operation) (bson.D, error) {
	documents, _, err := c.collection(o, "query")
	if err != nil {
		return nil, err
	}
	return bson.D{{Key: "n", Value: int32(len(documents))}}, nil
}

// collection returns the documents of one, which must be all that are asked for.
func (c *connection) collection(o *operation, filter string) (documents []bson.Raw, namespace string, err error) {
	if namespace, err = o.namespace(findDocuments); err != nil {
		return nil, "", err
	}
	if given, ok := o.fields[filter].DocumentOK(); ok && len(given) > len(bson.Raw{5, 0, 0, 0, 0}) {
		return nil, "", badValue("this stand-in finds all documents or none")
	}
	documents = []bson.Raw{}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, document := range c.server.documents[namespace] {
		if limit, ok := o.fields["limit"].AsInt64OK(); ok && limit > 0 && len(documents) == int(limit) {
			break
		}
		documents = append(documents, document)
	}
	return documents, namespace, nil
}
