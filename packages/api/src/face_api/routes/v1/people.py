"""Companies and users: list, view, erase."""

from anyio.to_thread import run_sync
from starlette.responses import Response

from face_api.errors import RefusalError
from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import (
    PREFIX,
    Endpoint,
    company_of,
    cursor_of,
    next_cursor,
    position_cursor_of,
    query_of,
    user_of,
)
from face_api.store import Page, Profile, Receipt, Store, UserFilter

TAG = "people"


def people_endpoints(store: Store) -> list[Endpoint]:
    async def list_companies(call: Call) -> Response:
        query = query_of(call, schemas.PageQuery)
        own = call.identity.company
        if own is None:
            page = await run_sync(store.directory.companies, call.caller, cursor_of(query.cursor), query.limit)
            items = [schemas.Company.model_validate(item) for item in page.items]
        else:
            company = await run_sync(store.directory.company, call.caller, own)
            items = [schemas.Company.model_validate(company)] if company else []
            page = Page([], None)
        return json_answer(schemas.Page[schemas.Company](items=items, next_cursor=next_cursor(page)))

    async def view_company(call: Call) -> Response:
        company = await run_sync(store.directory.company, call.caller, company_of(call))
        if company is None:
            raise RefusalError("company_unregistered")
        return json_answer(schemas.Company.model_validate(company))

    async def erase_company(call: Call) -> Response:
        return _receipt(
            await run_sync(store.eraser.erase_company, call.caller, company_of(call)), "company_unregistered"
        )

    async def list_users(call: Call) -> Response:
        company, query = company_of(call), query_of(call, schemas.UsersQuery)
        after = (cursor_of if query.sort == "id" else position_cursor_of)(query.cursor)
        wanted = UserFilter(query.prefix, query.contains, query.enrolled)
        page = await run_sync(store.directory.users, call.caller, company, after, query.limit, wanted, query.sort)
        if page is None:
            raise RefusalError("company_unregistered")
        items = [
            schemas.User(
                company=company,
                id=user.key,
                **_profile(user.profile),
                references=user.references,
                created_at=user.created_at,
            )
            for user in page.items
        ]
        return json_answer(schemas.Page[schemas.User](items=items, next_cursor=next_cursor(page)))

    async def view_user(call: Call) -> Response:
        user = await run_sync(store.directory.user, call.caller, company_of(call), user_of(call))
        if user is None:
            raise RefusalError("user_unregistered")
        return json_answer(
            schemas.UserDetails(
                company=user.company,
                id=user.key,
                **_profile(user.profile),
                created_at=user.created_at,
                enrollments=[schemas.Reference.of(reference) for reference in user.references],
            )
        )

    async def erase_user(call: Call) -> Response:
        return _receipt(
            await run_sync(store.eraser.erase_user, call.caller, company_of(call), user_of(call)), "user_unregistered"
        )

    companies = PREFIX + "/companies"
    company = companies + "/{company}"
    users = company + "/users"
    user = users + "/{user}"
    unregistered = ("company_unregistered",)
    return [
        Endpoint(
            "GET",
            companies,
            list_companies,
            TAG,
            "List the companies; with a company's key, that one",
            {200: schemas.Page[schemas.Company]},
            problems=("cursor_invalid",),
            query=schemas.PageQuery,
        ),
        Endpoint("GET", company, view_company, TAG, "View a company", {200: schemas.Company}, unregistered),
        Endpoint(
            "DELETE",
            company,
            erase_company,
            TAG,
            "Erase a company with its users and its keys",
            {200: schemas.Receipt},
            unregistered,
            admin=True,
            lasting=True,
        ),
        Endpoint(
            "GET",
            users,
            list_users,
            TAG,
            "List the users of a company",
            {200: schemas.Page[schemas.User]},
            ("company_unregistered", "cursor_invalid"),
            query=schemas.UsersQuery,
        ),
        Endpoint(
            "GET",
            user,
            view_user,
            TAG,
            "View a user and their enrollments, the oldest first",
            {200: schemas.UserDetails},
            ("user_unregistered",),
        ),
        Endpoint(
            "DELETE",
            user,
            erase_user,
            TAG,
            "Erase a user and all that was derived from their photos",
            {200: schemas.Receipt},
            ("user_unregistered",),
        ),
    ]


def _profile(profile: Profile) -> dict[str, int | None]:
    return {"gender": profile.gender, "age": profile.age}


def _receipt(receipt: Receipt | None, unregistered: str) -> Response:
    if receipt is None:
        raise RefusalError(unregistered)
    return json_answer(
        schemas.Receipt(
            company=receipt.company,
            user=receipt.user,
            removed=schemas.Counts.model_validate(receipt.removed),
            at=receipt.at,
            audit_entry=str(receipt.audit_entry),
            overwritten=receipt.overwritten,
        )
    )
