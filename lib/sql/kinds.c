/* SPDX-License-Identifier: Apache-2.0
 * The table of kinds, with the reason of each.
 * OWNS nothing. PROCESS database gate. TRUST none. SPEC lib/sql/kinds.h.
 */
#include "lib/sql/kinds.h"

#include "lib/base/mem.h"

/* Makes, changes and drops its names as any definition; what stands there goes with it. */
#define ROWS                                                                                       \
    {                                                                                              \
        SP_ACTION_ALTER, SP_ACTION_ALTER, SP_ACTION_DESTROY                                        \
    }
/* Made again from what is there: nobody's rows, and nobody's work. */
#define LIGHT                                                                                      \
    {                                                                                              \
        SP_ACTION_ALTER, SP_ACTION_ALTER, SP_ACTION_ALTER                                          \
    }
#define GRAVE                                                                                      \
    {                                                                                              \
        SP_ACTION_ADMINISTER, SP_ACTION_ADMINISTER, SP_ACTION_ADMINISTER                           \
    }

static const object_kind kinds[] = {
    /* ---- rows, and what they are found by ---- */
    {.type = OBJECT_TABLE, .place = KIND_RELATION, .asks = ROWS},
    /* rows of another server come under a name of this one */
    {.type = OBJECT_FOREIGN_TABLE,
     .place = KIND_RELATION,
     .asks = {SP_ACTION_ADMINISTER, SP_ACTION_ALTER, SP_ACTION_DESTROY}},
    {.type = OBJECT_MATVIEW, .place = KIND_RELATION, .asks = ROWS},
    {.type = OBJECT_VIEW, .place = KIND_RELATION, .asks = ROWS}, /* somebody's query */
    {.type = OBJECT_SEQUENCE, .place = KIND_RELATION, .asks = ROWS},
    {.type = OBJECT_INDEX, .place = KIND_RELATION, .asks = LIGHT},
    {.type = OBJECT_STATISTIC_EXT, .place = KIND_IN_SCHEMA, .asks = LIGHT},
    {.type = OBJECT_SCHEMA, .place = KIND_SCHEMA, .asks = ROWS},

    /* ---- of a relation ---- */
    {.type = OBJECT_COLUMN, .place = KIND_OF_RELATION, .asks = ROWS},
    {.type = OBJECT_ATTRIBUTE, .place = KIND_OF_RELATION, .asks = ROWS},
    /* rows that it kept out come in; those that are there stay */
    {.type = OBJECT_TABCONSTRAINT, .place = KIND_OF_RELATION, .asks = LIGHT},
    /* they run in the order of their names, and one that is gone checks and writes down nothing;
     * the function of a new one is asked for by itself */
    {.type = OBJECT_TRIGGER,
     .place = KIND_OF_RELATION,
     .asks = {SP_ACTION_ALTER, SP_ACTION_ADMINISTER, SP_ACTION_ADMINISTER}},
    {.type = OBJECT_RULE, .place = KIND_OF_RELATION, .asks = GRAVE},
    /* by another one, or by none, others see rows that they did not */
    {.type = OBJECT_POLICY, .place = KIND_OF_RELATION, .asks = GRAVE},

    /* ---- what runs: by its name others call another one, or none ---- */
    {.type = OBJECT_FUNCTION, .place = KIND_IN_SCHEMA, .use = KIND_IS_CALLED, .asks = ROWS},
    {.type = OBJECT_PROCEDURE, .place = KIND_IN_SCHEMA, .use = KIND_IS_CALLED, .asks = ROWS},
    {.type = OBJECT_ROUTINE, .place = KIND_IN_SCHEMA, .use = KIND_IS_CALLED, .asks = ROWS},
    /* runs its functions under a name that theirs does not tell */
    {.type = OBJECT_AGGREGATE,
     .place = KIND_IN_SCHEMA,
     .use = KIND_IS_CALLED,
     .asks = ROWS,
     .means = true},

    /* ---- what values are: columns hold them, and casts by the name cut or refuse them ---- */
    {.type = OBJECT_TYPE, .place = KIND_IN_SCHEMA, .use = KIND_IS_TYPE, .asks = ROWS},
    {.type = OBJECT_DOMAIN, .place = KIND_IN_SCHEMA, .use = KIND_IS_TYPE, .asks = ROWS},
    {.type = OBJECT_DOMCONSTRAINT, .place = KIND_IN_SCHEMA, .asks = LIGHT}, /* as a table's */

    /* ---- what values mean: which rows are equal, which come first, what a text is read as. Where
     * one is gone the server takes another one that fits ---- */
    {.type = OBJECT_OPERATOR, .place = KIND_IN_SCHEMA, .asks = LIGHT, .means = true},
    {.type = OBJECT_OPCLASS, .place = KIND_IN_SCHEMA, .asks = LIGHT, .means = true},
    {.type = OBJECT_OPFAMILY, .place = KIND_IN_SCHEMA, .asks = LIGHT, .means = true},
    {.type = OBJECT_COLLATION, .place = KIND_IN_SCHEMA, .asks = ROWS, .means = true},
    {.type = OBJECT_CONVERSION, .place = KIND_IN_SCHEMA, .asks = LIGHT, .means = true},
    {.type = OBJECT_TSCONFIGURATION, .place = KIND_IN_SCHEMA, .asks = ROWS, .means = true},
    {.type = OBJECT_TSDICTIONARY, .place = KIND_IN_SCHEMA, .asks = ROWS, .means = true},
    {.type = OBJECT_TSPARSER, .place = KIND_IN_SCHEMA, .asks = ROWS, .means = true},
    {.type = OBJECT_TSTEMPLATE, .place = KIND_IN_SCHEMA, .asks = ROWS, .means = true},
    {.type = OBJECT_CAST, .place = KIND_OF_DATABASE},
    {.type = OBJECT_TRANSFORM, .place = KIND_OF_DATABASE},

    /* ---- of the database, or of the server: who may do what, and where things are ---- */
    {.type = OBJECT_ACCESS_METHOD, .place = KIND_OF_DATABASE},
    {.type = OBJECT_DATABASE, .place = KIND_OF_DATABASE},
    {.type = OBJECT_DEFACL, .place = KIND_OF_DATABASE},
    {.type = OBJECT_EVENT_TRIGGER, .place = KIND_OF_DATABASE},
    {.type = OBJECT_EXTENSION, .place = KIND_OF_DATABASE, .holds = true},
    {.type = OBJECT_FDW, .place = KIND_OF_DATABASE},
    {.type = OBJECT_FOREIGN_SERVER, .place = KIND_OF_DATABASE},
    {.type = OBJECT_LANGUAGE, .place = KIND_OF_DATABASE},
    {.type = OBJECT_LARGEOBJECT, .place = KIND_OF_DATABASE},
    {.type = OBJECT_PUBLICATION, .place = KIND_OF_DATABASE},
    {.type = OBJECT_ROLE, .place = KIND_OF_DATABASE},
    {.type = OBJECT_SUBSCRIPTION, .place = KIND_OF_DATABASE},
    {.type = OBJECT_TABLESPACE, .place = KIND_OF_DATABASE},
    {.type = OBJECT_USER_MAPPING, .place = KIND_OF_DATABASE},
};

const object_kind *kind_of(ObjectType type)
{
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        if (kinds[i].type == type) {
            return &kinds[i];
        }
    }
    return NULL;
}

sp_action kind_asks(ObjectType type, kind_way way)
{
    const object_kind *kind = kind_of(type);
    return kind == NULL || kind->place == KIND_OF_DATABASE ? SP_ACTION_ADMINISTER
                                                           : (sp_action)kind->asks[way];
}

static const kind_statement statements[] = {
    {T_AlterCollationStmt, OBJECT_COLLATION, KIND_CHANGE, 0},
    {T_AlterDatabaseRefreshCollStmt, OBJECT_DATABASE, KIND_CHANGE, 0},
    {T_AlterDatabaseSetStmt, OBJECT_DATABASE, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterDatabaseStmt, OBJECT_DATABASE, KIND_CHANGE, 0},
    {T_AlterDefaultPrivilegesStmt, OBJECT_DEFACL, KIND_CHANGE, 0},
    {T_AlterDomainStmt, OBJECT_DOMAIN, KIND_CHANGE, 0},
    {T_AlterEnumStmt, OBJECT_TYPE, KIND_CHANGE, 0},
    {T_AlterEventTrigStmt, OBJECT_EVENT_TRIGGER, KIND_CHANGE, 0},
    {T_AlterExtensionContentsStmt, OBJECT_EXTENSION, KIND_CHANGE, 0},
    {T_AlterExtensionStmt, OBJECT_EXTENSION, KIND_CHANGE, 0},
    {T_AlterFdwStmt, OBJECT_FDW, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterForeignServerStmt, OBJECT_FOREIGN_SERVER, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterOpFamilyStmt, OBJECT_OPFAMILY, KIND_CHANGE, 0},
    {T_AlterOperatorStmt, OBJECT_OPERATOR, KIND_CHANGE, 0},
    {T_AlterPublicationStmt, OBJECT_PUBLICATION, KIND_CHANGE, 0},
    {T_AlterRoleSetStmt, OBJECT_ROLE, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterRoleStmt, OBJECT_ROLE, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterStatsStmt, OBJECT_STATISTIC_EXT, KIND_CHANGE, 0},
    {T_AlterSubscriptionStmt, OBJECT_SUBSCRIPTION, KIND_CHANGE, KIND_IS_SECRET},
    {T_AlterTableSpaceOptionsStmt, OBJECT_TABLESPACE, KIND_CHANGE, 0},
    {T_AlterTSConfigurationStmt, OBJECT_TSCONFIGURATION, KIND_CHANGE, 0},
    {T_AlterTSDictionaryStmt, OBJECT_TSDICTIONARY, KIND_CHANGE, 0},
    {T_AlterTypeStmt, OBJECT_TYPE, KIND_CHANGE, KIND_MEANS},
    {T_AlterUserMappingStmt, OBJECT_USER_MAPPING, KIND_CHANGE, KIND_IS_SECRET},
    {T_CompositeTypeStmt, OBJECT_TYPE, KIND_CREATE, 0},
    {T_CreateAmStmt, OBJECT_ACCESS_METHOD, KIND_CREATE, 0},
    {T_CreateCastStmt, OBJECT_CAST, KIND_CREATE, 0},
    {T_CreateConversionStmt, OBJECT_CONVERSION, KIND_CREATE, 0},
    {T_CreateDomainStmt, OBJECT_DOMAIN, KIND_CREATE, 0},
    {T_CreateEnumStmt, OBJECT_TYPE, KIND_CREATE, 0},
    {T_CreateEventTrigStmt, OBJECT_EVENT_TRIGGER, KIND_CREATE, 0},
    {T_CreateExtensionStmt, OBJECT_EXTENSION, KIND_CREATE, 0},
    {T_CreateFdwStmt, OBJECT_FDW, KIND_CREATE, KIND_IS_SECRET},
    {T_CreateForeignServerStmt, OBJECT_FOREIGN_SERVER, KIND_CREATE, KIND_IS_SECRET},
    {T_CreateOpClassStmt, OBJECT_OPCLASS, KIND_CREATE, 0},
    {T_CreateOpFamilyStmt, OBJECT_OPFAMILY, KIND_CREATE, 0},
    {T_CreatePLangStmt, OBJECT_LANGUAGE, KIND_CREATE, 0},
    {T_CreatePublicationStmt, OBJECT_PUBLICATION, KIND_CREATE, 0},
    {T_CreateRangeStmt, OBJECT_TYPE, KIND_CREATE, KIND_MEANS},
    {T_CreateRoleStmt, OBJECT_ROLE, KIND_CREATE, KIND_IS_SECRET},
    {T_CreateStatsStmt, OBJECT_STATISTIC_EXT, KIND_CREATE, 0},
    {T_CreateSubscriptionStmt, OBJECT_SUBSCRIPTION, KIND_CREATE, KIND_IS_SECRET},
    {T_CreateTableSpaceStmt, OBJECT_TABLESPACE, KIND_CREATE, 0},
    {T_CreateTransformStmt, OBJECT_TRANSFORM, KIND_CREATE, 0},
    {T_CreateUserMappingStmt, OBJECT_USER_MAPPING, KIND_CREATE, KIND_IS_SECRET},
    {T_CreatedbStmt, OBJECT_DATABASE, KIND_CREATE, 0},
    {T_DropRoleStmt, OBJECT_ROLE, KIND_DROP, 0},
    {T_DropSubscriptionStmt, OBJECT_SUBSCRIPTION, KIND_DROP, 0},
    {T_DropTableSpaceStmt, OBJECT_TABLESPACE, KIND_DROP, 0},
    {T_DropUserMappingStmt, OBJECT_USER_MAPPING, KIND_DROP, 0},
    {T_DropdbStmt, OBJECT_DATABASE, KIND_DROP, 0},
};

bool kind_of_statement(const Node *node, kind_statement *ret_statement)
{
    if (nodeTag(node) == T_DefineStmt) {
        ObjectType type = AS(DefineStmt, node)->kind;
        uint8_t more = type == OBJECT_TYPE ? KIND_MEANS : 0; /* with its code */
        *ret_statement = (kind_statement){T_DefineStmt, type, KIND_CREATE, more};
        return true;
    }
    for (size_t i = 0; i < SP_COUNT(statements); i++) {
        if (statements[i].node == nodeTag(node)) {
            *ret_statement = statements[i];
            return true;
        }
    }
    return false;
}
