"""What `describe` tells of objects and fields."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.salesforce.schema import NUMBERS, SandboxField, SObject

_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}


_ALWAYS_SEEN = frozenset(
    {
        "ActivityDate",
        "ActivityDateTime",
        "DurationInMinutes",
        "EmailBouncedDate",
        "EmailBouncedReason",
        "EndDateTime",
        "EventSubtype",
        "ShowAs",
        "StartDateTime",
        "Subject",
    }
)
"""Fields that no permission set hides, beside those that are required, kept by the system, or parts of a name."""


def _is_permissionable(each: SandboxField) -> bool:
    optional = each.nillable and (each.updateable or each.createable)
    return (
        each.custom
        or each.type == "address"
        or (optional and each.compound != "Name" and each.name not in _ALWAYS_SEEN)
    )


def _default(each: SandboxField) -> str | bool | None:
    if each.type == "boolean":
        return False
    return each.values[0] if each.type == "picklist" and each.defaulted and each.values else None


def _extra_type(each: SandboxField) -> str | None:
    if each.name == "Name" or each.compound == "Name":
        return "personname" if each.compound == "Name" or not each.updateable else None
    return "plaintextarea" if each.type == "textarea" else None


def describe_field(each: SandboxField) -> dict[str, Any]:
    """A field as `describe` tells of it."""
    number, length = each.type in NUMBERS, 0
    if not number:
        length = each.size
    sortable = each.filterable
    return {
        "aggregatable": sortable and each.type not in ("boolean", "address"),
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": 18 if each.type in ("id", "reference") else length * 3,
        "calculated": each.formula is not None,
        "calculatedFormula": each.formula,
        "cascadeDelete": False,
        "caseSensitive": False,
        "compoundFieldName": each.compound,
        "controllerName": None,
        "createable": each.createable,
        "custom": each.custom,
        "defaultValue": _default(each),
        "defaultValueFormula": None,
        "defaultedOnCreate": each.defaulted,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": each.size if each.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": each.external,
        "extraTypeInfo": _extra_type(each),
        "filterable": each.filterable or each.type == "address",
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": sortable and each.type not in ("double", "currency", "percent", "datetime"),
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": each.lookup,
        "inlineHelpText": None,
        "label": each.label,
        "length": length,
        "mask": None,
        "maskType": None,
        "name": each.name,
        "nameField": each.name == "Name",
        "namePointing": each.polymorphic,
        "nillable": each.nillable,
        "permissionable": _is_permissionable(each),
        "picklistValues": [
            {
                "active": True,
                "defaultValue": value == _default(each),
                "label": value,
                "validFor": None,
                "value": value,
            }
            for value in each.values
        ],
        "polymorphicForeignKey": each.polymorphic,
        "precision": each.size if number and each.type != "int" else 0,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(each.targets),
        "relationshipName": each.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": each.restricted,
        "scale": each.scale,
        "searchPrefilterable": False,
        "soapType": _SOAP.get(each.type, "xsd:string"),
        "sortable": sortable,
        "type": each.type,
        "unique": each.unique,
        "updateable": each.updateable,
        "writeRequiresMasterRead": False,
    }


def describe_briefly(sobject: SObject, version: str) -> dict[str, Any]:
    """An object as the global describe tells of it."""
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": sobject.writable,
        "custom": sobject.name.endswith("__c"),
        "customSetting": False,
        "deepCloneable": False,
        "deletable": sobject.writable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "layoutable": sobject.writable,
        "mergeable": sobject.mergeable,
        "mruEnabled": False,
        "name": sobject.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": sobject.mergeable,
        "triggerable": sobject.writable,
        "undeletable": sobject.undeletable,
        "updateable": sobject.writable,
        "urls": {
            "compactLayouts": f"{base}/describe/compactLayouts",
            "rowTemplate": base + "/{ID}",
            "approvalLayouts": f"{base}/describe/approvalLayouts",
            "listviews": f"{base}/listviews",
            "describe": f"{base}/describe",
            "quickActions": f"{base}/quickActions",
            "layouts": f"{base}/describe/layouts",
            "sobject": base,
        },
    }


def describe_fully(
    sobject: SObject, version: str, fields: list[dict[str, Any]], children: list[tuple[str, str, str]]
) -> dict[str, Any]:
    """An object's own describe: `children` are (object, field, relationship name)."""
    layout = f"/services/data/v{version}/sobjects/{sobject.name}/describe/layouts/012000000000000AAA"
    return {
        **describe_briefly(sobject, version),
        "actionOverrides": [],
        "childRelationships": [
            {
                "cascadeDelete": relationship in ("Tasks", "Events", "CampaignMembers"),
                "childSObject": child,
                "deprecatedAndHidden": False,
                "field": field_,
                "junctionIdListNames": [],
                "junctionReferenceTo": [],
                "relationshipName": relationship,
                "restrictedDelete": False,
            }
            for child, field_, relationship in children
        ],
        "compactLayoutable": True,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": fields,
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "developerName": "Master",
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
                "urls": {"layout": layout},
            }
        ],
        "searchLayoutable": sobject.mergeable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {sobject.plural.lower()}", "name": "everything"}],
    }
