"""Overview: is the service alive, and what does it run?"""

from datetime import datetime

import streamlit as st

from face_dashboard.client import ApiClient, ApiError
from face_dashboard.settings import API_URL_VARIABLE, api_url

REFRESH_S = 5.0


@st.fragment(run_every=REFRESH_S)
def show_service() -> None:
    """Ask the API how it is, again every few seconds."""
    client = ApiClient(api_url())
    try:
        health = client.health()
    except ApiError as error:
        st.error(f"**The API does not answer.** {error}", icon=":material/error:")
        st.markdown(
            f"Start it with `make run` or `face-api serve`. "
            f"If it runs elsewhere, set `{API_URL_VARIABLE}` to its address and start the dashboard again."
        )
        return
    st.success(f"**The API is alive** at {client.base_url}", icon=":material/check_circle:")
    runtime, device, workers, version = st.columns(4)
    runtime.metric("Runtime", health.runtime, border=True, help="What executes dlib's networks.")
    device.metric("Device", health.device.upper(), border=True)
    workers.metric(
        "Inference workers", health.inference_workers, border=True, help="Photos that are analysed at the same time."
    )
    version.metric("Version", health.version, border=True)
    st.caption(f"Encoder `{health.encoder_id}` · templates made by another encoder are never compared with this one's")
    st.caption(f"Checked at {datetime.now().astimezone():%H:%M:%S %Z}, again every {REFRESH_S:g} seconds")


st.title("Overview")
show_service()
